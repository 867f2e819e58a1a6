"""One server in this process, from its first port to its end; what it tells, and what it never tells."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from structlog.testing import capture_logs

import mizzen
from mizzen import xds
from mizzen.server.address import Address
from mizzen.server.faults import Faults
from mizzen.server.metrics import Metrics
from mizzen.server.options import ServeOptions, TlsFiles
from mizzen.server.process import Process, StartError
from tests.authority import Authority
from tests.self_signed import certificate_and_key

FREE = Address("127.0.0.1", 0)
NODE_ID = "router~10.0.0.7~ingress.edge~edge.svc.cluster.local"
SOTW = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{name: http, port: %s}]}\n"
GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE, credentialName: shop}
"""


def options(path: Path, **changes: Any) -> ServeOptions:
    return replace(ServeOptions((path,), grpc_address=FREE, admin_address=FREE, tls_address=FREE), **changes)


class Running:
    """A server that runs on this loop."""

    def __init__(self, chosen: ServeOptions) -> None:
        self.stopping = asyncio.Event()
        metrics = Metrics("test")
        self.process = Process(chosen, metrics, Faults(metrics.faults.inc))

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://{self.process.about()['admin_address']}{path}")

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.002)

    @asynccontextmanager
    async def stream(
        self, type_url: str, node_id: str = NODE_ID
    ) -> AsyncIterator[discovery_pb2.DiscoveryResponse]:
        """What a gateway is sent of a type, while it stays connected."""
        async with grpc.aio.insecure_channel(self.process.about()["grpc_addresses"][0]) as channel:
            call = channel.stream_stream(SOTW)()
            request = discovery_pb2.DiscoveryRequest(type_url=type_url)
            request.node.id = node_id
            request.node.metadata.update({"NAMESPACE": "edge", "LABELS": {"istio": "ingressgateway"}})
            await call.write(request.SerializeToString())
            yield discovery_pb2.DiscoveryResponse.FromString(await asyncio.wait_for(call.read(), 60))


@asynccontextmanager
async def served(chosen: ServeOptions, *, wait: bool = True) -> AsyncIterator[Running]:
    running = Running(chosen)
    task = asyncio.create_task(running.process.run(running.stopping))
    try:
        if wait:
            await running.until(lambda: running.process.ready or task.done())
        yield running
    finally:
        running.stopping.set()
        await asyncio.wait_for(task, 60)


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, str]:
    """A folder with a gateway and its certificate, and the private key."""
    certificate, key = certificate_and_key()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "shop", "namespace": "edge"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key},
    }
    path = tmp_path / "mesh"
    path.mkdir()
    (path / "secret.json").write_text(json.dumps(secret))
    (path / "gateway.yaml").write_text(GATEWAY)
    return path, key


async def test_the_admin_address_tells_everything_but_the_keys(folder: tuple[Path, str]) -> None:
    path, key = folder
    with capture_logs() as lines:
        async with served(options(path)) as running:
            async with running.stream(xds.type_urls.LISTENER) as sent:
                assert [xds.short_name(each.type_url) for each in sent.resources] == ["LDS"]
                resources = await running.get("/debug/resources?proxy=ingress.edge")
                assert resources.json() == (await running.get(f"/debug/resources?proxy={NODE_ID}")).json()
                for answer in (resources, await running.get("/"), await running.get("/no/such/path")):
                    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
                    assert "server" not in answer.headers
                status = (await running.get("/status")).json()
                one = (await running.get("/status?proxy=ingress.edge")).json()
                none = (await running.get("/status?proxy=other")).json()
                absent = await running.get("/debug/resources?proxy=other")
                about = (await running.get("/version")).json()
            metrics = await running.get("/metrics")
            assert (await running.get("/ready")).text == "ready\n"
        assert not running.process.ready
    [secret] = [each for each in resources.json()["secrets"] if "tls_certificate" in each]
    assert secret["tls_certificate"]["private_key"] == {"inline_bytes": "[redacted]"}
    assert set(resources.json()) == {"clusters", "endpoints", "listeners", "routes", "secrets"}
    seen = f"{resources.text}{status}{one}{about}{metrics.text}{lines}"
    for line in key.splitlines()[1:-1]:
        assert line not in seen
        assert base64.b64encode(line.encode()).decode()[:40] not in seen
    [proxy] = status["proxies"]
    assert (proxy["id"], proxy["node_id"], proxy["type"]) == ("ingress.edge", NODE_ID, "router")
    assert "names" not in proxy["types"]["LDS"]
    assert one["proxies"][0]["types"]["LDS"]["names"] == []
    assert none["proxies"] == []
    assert absent.text == "no proxy 'other' is connected; connected: ingress.edge\n"
    assert status["configuration"]["paths"] == [str(path)]
    assert status["configuration"]["documents"] == {"Gateway": 1, "Secret": 1}
    assert (about["name"], about["version"], about["pid"]) == ("mizzen", mizzen.__version__, os.getpid())
    assert about["ready"] is True
    events = [line["event"] for line in lines]
    assert events[0] == "configuration read"
    assert "ready" in events
    assert events[-1] == "stopped"


async def test_a_saved_file_is_served_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(SERVICE % ("a", 80))
    async with served(options(tmp_path)) as running:
        view = running.process.control_plane
        (tmp_path / "b.yaml").write_text(SERVICE % ("b", 80))
        await running.until(lambda: view.view.documents == {"Service": 2})
        file.write_text(SERVICE % ("a", "many"))
        await running.until(lambda: bool(view.view.refused))
        status = (await running.get("/status")).json()
    assert status["configuration"]["documents"] == {"Service": 2}
    [refused] = status["configuration"]["refused"]
    assert (refused["document"], refused["in_force"]) == ("Service/default/a", f"{file}:1")


def broken(folder: Path) -> None:
    (folder / "a.yaml").write_text(SERVICE % ("a", "many"))


def half_written(folder: Path) -> None:
    (folder / "a.yaml").write_text("kind: [\n")


def begun(folder: Path) -> None:
    (folder / "b.yaml").write_text(SERVICE % ("b", 80))
    (folder / "a.yaml").write_text("")


def only_comments(folder: Path) -> None:
    (folder / "a.yaml").write_text("# soon\n")


def empty(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        (broken, "a.yaml:4: spec.ports[0].port: "),
        (half_written, "a.yaml:"),
        (begun, "a.yaml: is empty, as if it were still being written"),
        (only_comments, "mesh: no document is there"),
        (empty, "mesh: has no files"),
    ],
)
async def test_nobody_is_let_in_before_all_is_valid(
    tmp_path: Path, breaks: Callable[[Path], None], reason: str
) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    breaks(folder)
    with capture_logs() as lines:
        async with served(options(folder), wait=False) as running:
            await running.until(lambda: bool(running.process.waiting_for))
            assert not running.process.ready
            answer = await running.get("/ready")
            assert (answer.status_code, answer.text.splitlines()[0]) == (503, "waiting for")
            assert reason in answer.text
            [told] = (await running.get("/status")).json()["server"]["waiting_for"]
            assert reason in told
            assert "mizzen_start_waits_for 1.0" in (await running.get("/metrics")).text
            (folder / "a.yaml").write_text(SERVICE % ("a", 80))
            await running.until(lambda: running.process.ready)
            assert (await running.get("/version")).json()["waiting_for"] == []
            assert "mizzen_start_waits_for 0.0" in (await running.get("/metrics")).text
    [said] = [line for line in lines if "no proxy is served until" in line["event"]]
    assert said["log_level"] == "error"
    assert reason in said["waiting_for"][0]


async def test_a_folder_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "mesh"
    async with served(options(folder), wait=False) as running:
        await running.until(lambda: bool(running.process.waiting_for))
        assert (await running.get("/ready")).text.splitlines()[1].startswith(f"{folder}: does not exist")
        folder.mkdir()
        (folder / "a.yaml").write_text(SERVICE % ("a", 80))
        await running.until(lambda: running.process.ready)


async def test_the_rest_is_served_at_once_if_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SERVICE % ("a", "many"))
    with capture_logs() as lines:
        async with served(options(tmp_path, start_anyway=True)) as running:
            assert (await running.get("/ready")).status_code == 200
    [said] = [line for line in lines if "started anyway" in line["event"]]
    assert said["log_level"] == "warning"
    assert len(said["not_in_force"]) == 1
    assert any(line["event"].startswith("no configuration is in force") for line in lines)


async def test_what_was_in_force_is_in_force_again_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "a.yaml").write_text(SERVICE % ("a", 80))
    (folder / "b.yaml").write_text(SERVICE % ("b", 80))
    chosen = options(folder, state=tmp_path / "state")
    async with served(chosen) as running:
        (folder / "c.yaml").write_text(SERVICE % ("c", 80))
        await running.until(lambda: running.process.control_plane.view.documents == {"Service": 3})
    (folder / "a.yaml").write_text(SERVICE % ("a", "many"))
    (folder / "b.yaml").write_text("")
    (folder / "c.yaml").write_text("kind: [")
    with capture_logs() as lines:
        async with served(chosen) as running:
            status = (await running.get("/status")).json()
            metrics = (await running.get("/metrics")).text
            (folder / "a.yaml").write_text(SERVICE % ("a", 81))
            view = running.process.control_plane
            await running.until(lambda: len(view.view.restored) == 2)
    assert status["server"]["state"] == str(tmp_path / "state")
    assert status["configuration"]["documents"] == {"Service": 3}
    told = {each["document"]: each for each in status["configuration"]["restored"]}
    assert list(told) == ["Service/default/a", "Service/default/b", "Service/default/c"]
    assert told["Service/default/a"]["origin"] == f"{folder}/a.yaml:1"
    refused = {each["document"]: each for each in status["configuration"]["refused"]}
    assert refused["Service/default/a"]["restored"] == told["Service/default/a"]["since"]
    assert "mizzen_documents_restored 3.0" in metrics
    [said] = [line for line in lines if "from the state directory" in line["event"]]
    assert said["log_level"] == "error"
    assert len(said["documents"]) == 3


async def test_a_start_without_all_that_the_state_has_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "a.yaml").write_text(SERVICE % ("a", 80))
    chosen = options(folder, state=tmp_path / "state")
    async with served(chosen):
        pass
    (folder / "a.yaml").rename(tmp_path / "a.yaml")
    for _ in range(2):  # what is waited for takes nothing from the state
        async with served(chosen, wait=False) as running:
            await running.until(lambda: bool(running.process.waiting_for))
            assert not running.process.ready
    folder.rmdir()
    async with served(chosen) as running:
        assert running.process.control_plane.view.documents == {"Service": 1}


async def test_a_state_directory_of_others_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    process = Process(options(tmp_path, state=tmp_path / "state"), Metrics("test"), Faults())
    with pytest.raises(StartError, match="others may read"):
        await process.run(asyncio.Event())


async def test_a_lasting_task_that_fails_begins_again_and_is_seen_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text(SERVICE % ("a", 80))
    monkeypatch.setattr("mizzen.server.faults.AGAIN_SECONDS", 0.0)
    begun: list[str] = []

    def failing(name: str, lasting: Any) -> Any:
        async def first_failing(*arguments: Any) -> None:
            begun.append(name)
            if begun.count(name) == 1:
                raise RuntimeError("a fault")
            await lasting(*arguments)

        return first_failing

    with capture_logs() as lines:
        running = Running(options(tmp_path))
        process = running.process
        for part, name in (
            (process, "_watch"),
            (process.control_plane, "keep_analysed"),
            (process.control_plane, "keep_forgetting"),
            (process._key_sets, "run"),
            (process._events, "keep_telling"),
        ):
            monkeypatch.setattr(part, name, failing(name, getattr(part, name)))
        task = asyncio.create_task(process.run(running.stopping))
        await running.until(lambda: process.ready and len(begun) == 10)
        status = (await running.get("/status")).json()
        metrics = (await running.get("/metrics")).text
        page = (await running.get("/")).text
        (tmp_path / "b.yaml").write_text(SERVICE % ("b", 80))
        await running.until(lambda: process.control_plane.view.documents == {"Service": 2})
        running.stopping.set()
        await asyncio.wait_for(task, 60)
    moment = process.moment
    process._faults.count("something failed")
    assert process.moment != moment, "the page is told of it"
    told = {each["what"]: each["times"] for each in status["server"]["faults"]}
    assert len(told) == 5
    assert told["watching the files failed and begins again"] == 1
    assert "mizzen_faults_total 5.0" in metrics
    for what in told:
        assert what in page
        [line] = [line for line in lines if line["event"].startswith(what)]
        assert line["exc_info"]


async def test_the_settings_are_read_again_when_they_are_saved(tmp_path: Path) -> None:
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "a.yaml").write_text(SERVICE % ("a", 80))
    settings = tmp_path / "settings.yaml"
    settings.write_text("rootNamespace: one\n")
    async with served(options(tmp_path / "mesh", mesh_config=settings)) as running:
        view = running.process.control_plane
        assert view.view.is_whole
        settings.write_text("rootNamespace: [1]\n")
        await running.until(lambda: not view.view.is_whole)
        settings.write_text("rootNamespace: two\n")
        await running.until(lambda: view.view.is_whole)


OPEN = Address("0.0.0.0", 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"grpc_address": OPEN}, ["this address is sent the whole mesh in plain text"]),
        (
            {"grpc_address": OPEN, "secrets_to_anyone": True},
            ["this address is sent the whole mesh in plain text, private keys of"],
        ),
        (
            {"admin_address": OPEN},
            ["the admin address can read the status and the configuration of the mesh"],
        ),
        ({"tls_address": OPEN}, []),
    ],
)
async def test_who_listens_for_everybody_is_warned(
    tmp_path: Path, changes: dict[str, Address], said: list[str]
) -> None:
    assert await _warnings(options(tmp_path, start_anyway=True, **changes)) == said


async def test_a_tls_address_for_everybody_needs_an_authority(tmp_path: Path) -> None:
    certificate, key = certificate_and_key()
    files = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    files.certificate.write_text(certificate)
    files.key.touch(mode=0o600)
    files.key.write_text(key)
    chosen = options(tmp_path, tls=files, tls_address=OPEN, start_anyway=True)
    assert await _warnings(chosen) == ["it is sent the whole mesh; use --tls-client-ca"]
    assert await _warnings(replace(chosen, tls_address=FREE)) == []
    demanding = replace(files, client_ca=files.certificate)
    assert await _warnings(replace(chosen, tls=demanding)) == []


async def _warnings(chosen: ServeOptions) -> list[str]:
    """Start and stop; return the end of each warning that says who may reach it."""
    with capture_logs() as lines:
        async with served(chosen) as running:
            assert len(running.process.about()["grpc_addresses"]) == 1 + (chosen.tls is not None)
    warned = [line for line in lines if line["log_level"] == "warning" and "ANYONE" in line["event"]]
    assert all(line["address"].startswith("0.0.0.0:") for line in warned)
    return [
        line["event"].partition("who reaches ")[2].partition(" gateways")[0].partition("; keep")[0]
        for line in warned
    ]


KEY = "kubernetes://shop"


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({}, [KEY]),
        ({"grpc_address": OPEN}, []),
        ({"grpc_address": OPEN, "secrets_to_anyone": True}, [KEY]),
    ],
)
async def test_a_key_goes_to_no_stranger_unless_that_is_wanted(
    folder: tuple[Path, str], changes: dict[str, Any], sent: list[str]
) -> None:
    with capture_logs() as lines:
        async with served(options(folder[0], **changes)) as running, running.stream(xds.type_urls.LISTENER):
            resources = (await running.get("/debug/resources?proxy=ingress.edge")).json()
            diagnostics = (await running.get("/status")).json()["configuration"]["diagnostics"]
            metrics = (await running.get("/metrics")).text
    assert [each["name"] for each in resources["secrets"] if each["name"] == KEY] == sent
    withheld = [each for each in diagnostics if each["code"] == "MZ0301"]
    assert len(withheld) == 1 - len(sent)
    assert f"mizzen_secrets_withheld {1.0 - len(sent)}" in metrics
    assert sum("--secrets-to-anyone" in line["event"] for line in lines) == len(withheld)


@pytest.mark.parametrize(
    ("identity", "account", "refused"),
    [
        ("spiffe://cluster.local/ns/edge/sa/gateway", "gateway", ""),
        ("spiffe://cluster.local/ns/edge/sa/gateway", "", ""),
        (
            "spiffe://cluster.local/ns/reviews/sa/gateway",
            "gateway",
            "spiffe://cluster.local/ns/reviews/sa/gateway",
        ),
        ("spiffe://cluster.local/ns/edge/sa/other", "gateway", "spiffe://cluster.local/ns/edge/sa/other"),
        ("spiffe://elsewhere/ns/edge/sa/gateway", "gateway", "spiffe://elsewhere/ns/edge/sa/gateway"),
        ("", "gateway", "none"),
    ],
)
async def test_a_certificate_is_for_what_the_node_says(
    folder: tuple[Path, str], tmp_path: Path, identity: str, account: str, refused: str
) -> None:
    authority = Authority()
    files = TlsFiles(*authority.issue("localhost").write(tmp_path, "server"), client_ca=tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    own = authority.issue("proxy", uris=(identity,) if identity else ())
    credentials = grpc.ssl_channel_credentials(authority.certificate, own.key, own.certificate)
    async with served(options(folder[0], tls=files, tls_address=OPEN)) as running:
        port = running.process.about()["grpc_addresses"][1].rpartition(":")[2]
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            call = channel.stream_stream(SOTW)()
            request = discovery_pb2.DiscoveryRequest(type_url=xds.type_urls.SECRET, resource_names=[KEY])
            request.node.id = NODE_ID
            request.node.metadata.update({"NAMESPACE": "edge", "LABELS": {"istio": "ingressgateway"}})
            if account:
                request.node.metadata.update({"SERVICE_ACCOUNT": account})
            await call.write(request.SerializeToString())
            if not refused:
                sent = discovery_pb2.DiscoveryResponse.FromString(await asyncio.wait_for(call.read(), 60))
                assert len(sent.resources) == 1
                return
            with pytest.raises(grpc.aio.AioRpcError) as denied:
                await asyncio.wait_for(call.read(), 60)
        status = (await running.get("/status")).json()
        metrics = (await running.get("/metrics")).text
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "spiffe://cluster.local/ns/edge/sa/gateway" in str(denied.value.details())
    assert str(denied.value.details()).endswith(f": {refused}")
    assert status["refused_proxies"][0]["reason"] == denied.value.details()
    assert "mizzen_identities_refused_total 1.0" in metrics


@pytest.mark.parametrize("option", ["grpc", "tls", "admin"])
async def test_a_port_that_is_taken_is_named_with_who_has_it(tmp_path: Path, option: str) -> None:
    certificate, key = certificate_and_key()
    files = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    files.certificate.write_text(certificate)
    files.key.touch(mode=0o600)
    files.key.write_text(key)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        process = Process(
            options(tmp_path, tls=files, **{f"{option}_address": address}), Metrics("test"), Faults()
        )
        # It asks whether it is a Mizzen that has the port; this one never answers.
        with pytest.raises(StartError) as refused, capture_logs():
            await process.run(asyncio.Event())
    assert str(refused.value) == (
        f"--{option}-address {address}: something else listens on this port already"
    )


def test_only_this_machine_is_let_in_unless_told_otherwise() -> None:
    chosen = ServeOptions(())
    addresses = (chosen.grpc_address, chosen.tls_address, chosen.admin_address)
    assert [address.port for address in addresses] == [15010, 15012, 15014]
    assert all(address.is_loopback for address in addresses)
    assert chosen.tls is None
