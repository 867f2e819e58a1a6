"""Mutual TLS between sidecars, and what each mode of PeerAuthentication lets in."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

import mizzen
from mizzen.testing.live_mesh import GATEWAY_PORT, SERVICE_PORT
from tests.e2e.two_sidecars import (
    CLIENT,
    NEW_CONNECTIONS,
    UNNAMED_PORT,
    Pair,
    two_sidecars,
    workload,
)

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with two_sidecars(tmp_path_factory.mktemp("mutual-tls")) as both:
        yield both


async def test_permissive_takes_both(pair: Pair) -> None:
    await pair.policy("PERMISSIVE")
    assert CLIENT in await pair.seen()
    assert await pair.plain() == 200


async def test_strict_refuses_plain_text(pair: Pair) -> None:
    await pair.policy("STRICT")
    assert CLIENT in await pair.seen()
    assert await pair.plain() == 0


async def test_a_disabled_workload_is_called_in_plain_text(pair: Pair) -> None:
    await pair.policy("DISABLE")
    assert await pair.seen() == ""
    assert await pair.plain() == 200


async def test_a_port_has_a_mode_of_its_own(pair: Pair) -> None:
    await pair.policy("STRICT", f"{{{UNNAMED_PORT}: {{mode: DISABLE}}}}")
    assert CLIENT in await pair.seen()
    assert await pair.seen(UNNAMED_PORT) == ""
    assert [await pair.plain(), await pair.plain(UNNAMED_PORT)] == [0, 200]


@pytest.mark.parametrize("mode", ["STRICT", "PERMISSIVE"])
async def test_http_is_known_as_such_on_a_port_of_unnamed_protocol(pair: Pair, mode: str) -> None:
    """Only what handles HTTP tells the program of the certificate."""
    await pair.policy(mode)
    assert CLIENT in await pair.seen(UNNAMED_PORT)


@pytest.mark.parametrize(
    ("mesh_wide", "namespace", "workload", "plain"),
    [
        ("STRICT", "UNSET", "UNSET", 0),
        ("STRICT", "PERMISSIVE", "UNSET", 200),
        ("DISABLE", "STRICT", "UNSET", 0),
        ("DISABLE", "STRICT", "PERMISSIVE", 200),
        ("UNSET", "UNSET", "UNSET", 200),
    ],
)
async def test_a_narrower_scope_goes_before_a_wider_one(
    pair: Pair, mesh_wide: str, namespace: str, workload: str, plain: int
) -> None:
    wider = "".join(
        f"""
        ---
        apiVersion: security.istio.io/v1
        kind: PeerAuthentication
        metadata: {{name: default, namespace: {where}}}
        spec: {{mtls: {{mode: {mode}}}}}"""
        for where, mode in (("istio-system", mesh_wide), ("default", namespace))
    )
    pair.mesh.write("wider.yaml", wider)
    await pair.policy(workload)
    assert CLIENT in await pair.seen()
    assert await pair.plain() == plain
    pair.mesh.remove("wider.yaml")


@pytest.mark.parametrize(
    ("tls", "mode", "status"),
    [
        ("ISTIO_MUTUAL", "STRICT", 200),
        ("DISABLE", "STRICT", 503),
        ("DISABLE", "PERMISSIVE", 200),
        ("SIMPLE, insecureSkipVerify: true", "STRICT", 503),
    ],
)
async def test_a_rule_of_the_client_goes_before_what_is_automatic(
    pair: Pair, tls: str, mode: str, status: int
) -> None:
    rule = NEW_CONNECTIONS.replace("{connectionPool", f"{{tls: {{mode: {tls}}}, connectionPool")
    pair.mesh.write("connections.yaml", rule)
    try:
        await pair.policy(mode)
        await pair.client.eventually("http://reviews/", lambda answer: answer.status_code == status)
        if status == 200:
            assert (CLIENT in await pair.seen()) is (tls == "ISTIO_MUTUAL")
    finally:
        await pair.mesh.apply("connections.yaml", NEW_CONNECTIONS)


async def test_a_wrong_identity_is_refused(pair: Pair) -> None:
    await pair.policy("PERMISSIVE")
    address, path = pair.server.address, pair.workload.path
    await pair.mesh.apply("reviews.yaml", workload(address, path, "somebody-else"))
    answer = await pair.client.eventually("http://reviews/", lambda answer: answer.status_code == 503)
    assert "remote connection failure" in answer.text
    assert await pair.client.stat(r"cluster\.outbound.*ssl\.fail_verify_san")
    await pair.mesh.apply("reviews.yaml", workload(address, path, "reviews"))
    await pair.client.eventually("http://reviews/", lambda answer: answer.status_code == 200)


async def test_what_files_say_is_what_is_served(pair: Pair) -> None:
    """Nobody has to write `enableAutoMtls` for what is said without a server."""
    await pair.policy("PERMISSIVE")
    mesh = pair.mesh
    of_files = mizzen.load(mesh.config)
    for proxy in (pair.client, pair.server):
        bootstrap = json.loads((mesh.directory / f"{proxy.envoy.child.name}.yaml").read_text())
        said = mizzen.translate(of_files, mizzen.Proxy.from_node(bootstrap["node"])).as_dict()
        url = f"http://{mesh.admin}/debug/resources"
        served = (await mesh.http.get(url, params={"proxy": proxy.node_id})).json()
        for kind in ("clusters", "endpoints", "listeners", "routes"):
            assert served[kind] == said[kind]


INSIDE = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: inside, namespace: default}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {port}, name: https, protocol: HTTPS}}
    hosts: [inside.example]
    tls: {{mode: ISTIO_MUTUAL}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: inside, namespace: default}}
spec:
  hosts: [inside.example]
  gateways: [inside]
  http: [{{route: [{{destination: {{host: reviews, port: {{number: {service_port}}}}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: inside, namespace: default}}
spec:
  hosts: [inside.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: {service_port}, name: http, protocol: HTTP, targetPort: {port}}}]
  endpoints: [{{address: {address}, serviceAccount: edge}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: inside, namespace: default}}
spec: {{host: inside.example, trafficPolicy: {{tls: {{mode: ISTIO_MUTUAL, sni: inside.example}}}}}}
"""


async def test_a_gateway_of_the_mesh_asks_for_the_mesh_s_certificates(pair: Pair) -> None:
    await pair.policy("STRICT")
    mesh = pair.mesh
    gateway = await mesh.gateway(metadata={"SERVICE_ACCOUNT": "edge"})
    mesh.write(
        "inside.yaml",
        INSIDE.format(port=GATEWAY_PORT, service_port=SERVICE_PORT, address=mesh.gateway_address),
    )
    await mesh.settled()
    answer = await pair.client.eventually("http://inside.example/", lambda answer: answer.status_code == 200)
    told = answer.json()["headers"]["x-forwarded-client-cert"]
    assert "URI=spiffe://cluster.local/ns/default/sa/edge" in told
    assert CLIENT in told

    stranger = ssl.create_default_context()
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    async with httpx.AsyncClient(verify=stranger, trust_env=False, timeout=60) as client:
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            await client.get(
                f"https://{gateway.address}:{GATEWAY_PORT}/", extensions={"sni_hostname": "inside.example"}
            )
    assert await gateway.stat(r"ssl\.fail_verify_no_cert")
