"""Workload certificates of Mizzen's own authority: two sidecars speak mutual TLS, whatever is renewed."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from mizzen.identity.authority import new_root
from mizzen.identity.certificate_store import CertificateStore
from mizzen.server.workload_certificates import now_utc
from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import SERVICE_PORT, LiveMesh
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import Workload
from tests.forked_mizzen import launch, mizzen
from tests.unit.identity.test_authority_files import intermediate, written

pytestmark = pytest.mark.envoy

RULES = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec:
  host: reviews
  trafficPolicy:
    # Many handshakes: a connection that stays open would never see a new certificate.
    connectionPool: {http: {maxRequestsPerConnection: 3}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http: [{route: [{destination: {host: reviews}}], retries: {attempts: 0}}]
"""

URL = "http://reviews/"
CLIENTS = 10
RATE = 300
"""Requests a second."""


@dataclass
class Pair:
    """A client's sidecar, and one in front of a workload, which demands mutual TLS."""

    mesh: LiveMesh
    client: Caller
    server: Caller
    workload: Workload

    async def certificates(self) -> list[str]:
        """Return the serial numbers of the certificates that the two Envoys use."""
        return [await serial(self.client), await serial(self.server)]

    async def authority(self) -> dict[str, Any]:
        status = await self.mesh.status()
        found: dict[str, Any] = status["certificates"]["authority"]
        return found


async def serial(caller: Caller) -> str:
    held = (await caller.admin("/certs")).json()["certificates"]
    numbers = {chain["serial_number"] for each in held for chain in each["cert_chain"]}
    assert len(numbers) <= 1, numbers
    return next(iter(numbers), "")


async def pair(mesh: LiveMesh) -> Pair:
    workload = await mesh.server("reviews-app", path=str(mesh.directory / "app.sock"))
    address = mesh.next_address()
    mesh.write(
        "reviews.yaml",
        f"""
        apiVersion: v1
        kind: Service
        metadata: {{name: reviews, namespace: default}}
        spec: {{selector: {{app: reviews}}, ports: [{{name: http, port: {SERVICE_PORT}}}]}}
        ---
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {{name: reviews, namespace: default}}
        spec: {{address: {address}, labels: {{app: reviews}}, serviceAccount: reviews}}
        ---
        apiVersion: networking.istio.io/v1
        kind: Sidecar
        metadata: {{name: reviews, namespace: default}}
        spec:
          workloadSelector: {{labels: {{app: reviews}}}}
          ingress:
            - port: {{number: {SERVICE_PORT}, protocol: HTTP, name: http}}
              bind: {address}
              captureMode: NONE
              defaultEndpoint: unix://{workload.path}
        """,
    )
    mesh.write("rules.yaml", RULES)
    account = {"SERVICE_ACCOUNT": "reviews"}
    server = await mesh.sidecar("reviews", address, {"app": "reviews"}, metadata=account)
    client = await mesh.client(metadata={"SERVICE_ACCOUNT": "shopper"})
    assert not (await mesh.status())["configuration"]["refused"]
    await client.eventually(URL, lambda answer: answer.status_code == 200)
    return Pair(mesh, client, server, workload)


@contextlib.asynccontextmanager
async def load(caller: Caller) -> AsyncIterator[Counter[str]]:
    """Send 300 requests a second; count the answers."""
    answers: Counter[str] = Counter()
    stopping = asyncio.Event()

    async def client() -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not stopping.is_set():
            try:
                answer = await caller.get(URL)
                answers[str(answer.status_code)] += 1
            except httpx.TransportError as error:
                answers[repr(error)] += 1
            due = max(due + CLIENTS / RATE, loop.time() - 1)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(client())
        try:
            yield answers
        finally:
            stopping.set()


def state(tmp_path: Path, *more: str) -> list[str]:
    return ["--state", str(tmp_path / "state"), *more]


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_two_sidecars_speak_mutual_tls(tmp_path: Path, delta: bool) -> None:
    """PeerAuthentication alone asks for it: automatic mutual TLS is on where certificates are served."""
    async with LiveMesh(tmp_path, delta=delta, arguments=state(tmp_path), launch=launch) as mesh:
        both = await pair(mesh)
        with pytest.raises(httpx.TransportError):
            await mesh.http.get(f"http://{both.server.address}:{SERVICE_PORT}/")
        seen = both.workload.requests[-1]["headers"]
        assert "URI=spiffe://cluster.local/ns/default/sa/shopper" in seen["x-forwarded-client-cert"]

        told = (await mesh.status())["certificates"]
        assert {each["identity"].rpartition("/")[2] for each in told["workloads"]} == {"reviews", "shopper"}
        shown = await mizzen("status", "--admin", mesh.admin)
        assert "spiffe://cluster.local/ns/default/sa/reviews" in shown[1]
        store = CertificateStore(tmp_path / "state")
        keys = [each.certificate.private_key.decode() for each in store.read(now_utc())]
        store.close()
        assert len(keys) == 2
        dumps = [
            await mesh.http.get(f"http://{mesh.admin}/debug/resources?proxy={each.node_id}")
            for each in mesh.callers
        ]
        everything = [
            *(dump.text for dump in dumps),
            *shown[1:],
            str(told),
            mesh.log(),
            (await mesh.http.get(f"http://{mesh.admin}/metrics")).text,
        ]
        assert all("ROOTCA" in dump.text and "[redacted]" in dump.text for dump in dumps)
        for key in (*keys, (tmp_path / "state/ca/ca-key.pem").read_text()):
            line = key.splitlines()[1]
            assert not [text for text in everything if line in text]
        assert not any("PRIVATE" in text for text in everything)


async def test_certificates_are_renewed_under_load(tmp_path: Path) -> None:
    arguments = state(tmp_path, "--workload-certificate-ttl", "6s")
    async with LiveMesh(tmp_path, arguments=arguments, launch=launch) as mesh:
        both = await pair(mesh)
        seen: list[set[str]] = [set(), set()]
        async with load(both.client) as answers:

            async def renewed() -> bool:
                for numbers, number in zip(seen, await both.certificates(), strict=True):
                    numbers.add(number)
                return all(len(numbers) >= 4 for numbers in seen)

            await eventually(renewed, "each certificate is renewed three times")
        assert set(answers) == {"200"}, answers
        assert answers.total() > 200
        expired = await both.server.stat("ssl.*fail_verify")
        assert not expired


async def test_a_killed_server_comes_back_with_the_same_certificates(tmp_path: Path) -> None:
    async with LiveMesh(tmp_path, arguments=state(tmp_path), launch=launch) as mesh:
        both = await pair(mesh)
        before = await both.certificates()
        rotations = [
            await caller.stat("sds.default.key_rotation_failed|sds.default.update_success")
            for caller in mesh.callers
        ]
        assert mesh.control_plane is not None
        async with load(both.client) as answers:
            mesh.control_plane.kill()
            await mesh.control_plane.stop()
            await mesh.start_control_plane()

            async def back() -> bool:
                return len((await mesh.status())["proxies"]) == 2

            await eventually(back, "both proxies are back")
            await mesh.settled()
        assert set(answers) == {"200"}, answers
        assert await both.certificates() == before
        assert rotations == [
            await caller.stat("sds.default.key_rotation_failed|sds.default.update_success")
            for caller in mesh.callers
        ], "nothing was sent again"
        assert "a certificate was issued" not in mesh.log().rpartition("ready")[2]


async def test_the_root_is_rotated_under_load(tmp_path: Path) -> None:
    arguments = state(tmp_path, "--workload-certificate-ttl", "60s")
    async with LiveMesh(tmp_path, arguments=arguments, launch=launch) as mesh:
        both = await pair(mesh)
        old = (await both.authority())["fingerprint"]
        before = await both.certificates()
        async with load(both.client) as answers:
            code, _, err = await mizzen("ca", "rotate", "--state", str(tmp_path / "state"))
            assert code == 0, err

            async def signs() -> bool:
                return bool((await both.authority())["fingerprint"] != old)

            async def replaced() -> bool:
                return not set(before) & set(await both.certificates())

            await eventually(signs, "the new root signs")

            async def finished() -> bool:
                return (await mizzen("ca", "finish", "--state", str(tmp_path / "state")))[0] == 0

            # How early it refuses to be finished is tested where there is no race with the proxies.
            await eventually(finished, "the old root is trusted no longer")
            await eventually(replaced, "both have certificates of the new root")

            async def one_root() -> bool:
                return [each["fingerprint"] for each in (await both.authority())["roots"]] == [
                    (await both.authority())["fingerprint"]
                ]

            await eventually(one_root, "the server knows")
            await mesh.settled()
            await asyncio.sleep(1)  # some hundred handshakes more
        assert set(answers) == {"200"}, answers


async def test_an_intermediate_that_the_user_brings(tmp_path: Path) -> None:
    """Two intermediates below a root; while calls go on the user exchanges the lower one."""
    root = new_root(now_utc())
    upper = intermediate(
        root,
        path_length=1,
        name="upper",
        begin=now_utc() - timedelta(hours=1),
        end=now_utc() + timedelta(days=30),
    )
    lower, another = (
        intermediate(
            upper, name=name, begin=now_utc() - timedelta(hours=1), end=now_utc() + timedelta(days=30)
        )
        for name in ("lower", "another")
    )
    chain = [upper.certificate]
    directory = written(tmp_path / "cacerts", lower, chain, [root])
    arguments = ["--ca", str(directory), "--workload-certificate-ttl", "60s"]
    async with LiveMesh(tmp_path, arguments=arguments, launch=launch) as mesh:
        both = await pair(mesh)
        assert (await both.authority())["issuer"] == "CN=lower"
        before = await both.certificates()
        async with load(both.client) as answers:
            written(directory, another, chain, [root])

            async def replaced() -> bool:
                return not set(before) & set(await both.certificates())

            await eventually(replaced, "both have certificates of the new intermediate")
        assert set(answers) == {"200"}, answers
        assert (await both.authority())["issuer"] == "CN=another"


async def test_the_trust_domain_changes_by_way_of_an_alias(tmp_path: Path) -> None:
    settings = tmp_path / "mesh-config.yaml"

    def write(domain: str, alias: str) -> None:
        fresh = settings.with_suffix(".new")
        fresh.write_text(f"trustDomain: {domain}\ntrustDomainAliases: [{alias}]\n")
        fresh.rename(settings)

    write("old.example", "new.example")
    async with LiveMesh(
        tmp_path, arguments=state(tmp_path, "--mesh-config", str(settings)), launch=launch
    ) as mesh:
        both = await pair(mesh)

        def seen() -> str:
            return str(both.workload.requests[-1]["headers"]["x-forwarded-client-cert"])

        assert "URI=spiffe://old.example/ns/default/sa/shopper" in seen()
        async with load(both.client) as answers:
            write("new.example", "old.example")

            async def renamed() -> bool:
                return "URI=spiffe://new.example/ns/default/sa/shopper" in seen()

            await eventually(renamed, "the client has an identity of the new domain")
            await mesh.settled()
        assert set(answers) == {"200"}, answers
