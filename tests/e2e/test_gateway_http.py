"""HTTP into the mesh through a gateway."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

GATEWAY = """
    apiVersion: networking.istio.io/v1
    kind: Gateway
    metadata: {name: ingress}
    spec:
      selector: {istio: ingressgateway}
      servers:
        - port: {number: 8080, name: http, protocol: HTTP}
          hosts: ["*.example.com"]
        - port: {number: 8081, name: http-more, protocol: HTTP}
          hosts: [more.example.com]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(mesh: LiveMesh) -> Caller:
    await mesh.workload("reviews", version="v1")
    await mesh.workload("ratings", version="v1")
    mesh.write("gateway.yaml", GATEWAY)
    return await mesh.gateway()


def service(name: str, hosts: str, rule: str, gateways: str = "ingress") -> str:
    return f"""
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: {name}}}
        spec:
          hosts: [{hosts}]
          gateways: [{gateways}]
          http: [{rule}]
    """


TO_REVIEWS = "{route: [{destination: {host: reviews}}]}"
TO_RATINGS = "{route: [{destination: {host: ratings}}]}"


async def test_the_host_picks_the_service(gateway: Caller, rules: Rules) -> None:
    await rules(
        service("reviews", "reviews.example.com", TO_REVIEWS)
        + service("ratings", "ratings.example.com", TO_RATINGS)
    )
    for name in ("reviews", "ratings"):
        seen = (await gateway.get(f"http://{name}.example.com/a")).json()
        assert seen["workload"] == f"{name}-v1"
        assert seen["headers"]["host"] == f"{name}.example.com"


async def test_the_port_in_the_host_header_does_not_matter(gateway: Caller, rules: Rules) -> None:
    await rules(service("reviews", "reviews.example.com", TO_REVIEWS))
    assert (await gateway.get("http://reviews.example.com:8080/")).status_code == 200


async def test_only_hosts_of_the_gateway_are_served(gateway: Caller, rules: Rules) -> None:
    await rules(service("reviews", "reviews.example.com, reviews.example.org", TO_REVIEWS))
    assert (await gateway.get("http://reviews.example.com/")).status_code == 200
    assert (await gateway.get("http://reviews.example.org/")).status_code == 404


async def test_virtual_services_of_one_host_add_up(gateway: Caller, rules: Rules) -> None:
    """As in Istio: rules of several documents are joined, and a rule for everything comes last."""
    await rules(
        service("a-all", "shop.example.com", TO_REVIEWS)
        + service(
            "b-ratings",
            "shop.example.com",
            "{match: [{uri: {prefix: /ratings}}], route: [{destination: {host: ratings}}]}",
        )
    )
    assert (await gateway.get("http://shop.example.com/ratings/1")).json()["workload"] == "ratings-v1"
    assert (await gateway.get("http://shop.example.com/else")).json()["workload"] == "reviews-v1"


async def test_a_rule_for_the_mesh_is_not_for_the_gateway(gateway: Caller, rules: Rules) -> None:
    await rules(service("reviews", "reviews.example.com", TO_REVIEWS, gateways="mesh"))
    assert (await gateway.get("http://reviews.example.com/")).status_code == 404


async def test_servers_on_other_ports_and_match_port(gateway: Caller, rules: Rules) -> None:
    rule = "{match: [{port: 8081}], route: [{destination: {host: reviews}}]}"
    await rules(service("more", "more.example.com", rule))
    assert (await gateway.at(8081).get("http://more.example.com/")).status_code == 200
    assert (await gateway.get("http://more.example.com/")).status_code == 404


async def test_a_gateway_says_where_the_client_is(gateway: Caller, rules: Rules) -> None:
    await rules(service("reviews", "reviews.example.com", TO_REVIEWS))
    headers = {"x-forwarded-for": "6.6.6.6", "x-forwarded-client-cert": "By=me;Hash=forged"}
    answer = await gateway.get("http://reviews.example.com/", headers=headers)
    seen = answer.json()["headers"]
    who = re.fullmatch(r"6\.6\.6\.6,([0-9.]+)", seen["x-forwarded-for"])
    assert who is not None, "who called is added to what it claims"
    assert "x-forwarded-client-cert" not in seen, "a claim without a certificate is dropped"
    assert seen["x-forwarded-proto"] == "http"
    assert answer.headers["server"] == "istio-envoy"


async def test_gateway_of_other_namespace_and_server_of_one_namespace(gateway: Caller, rules: Rules) -> None:
    await rules(
        """
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: shared, namespace: infra}
        spec:
          selector: {istio: ingressgateway}
          servers:
            - port: {number: 8082, name: http, protocol: HTTP}
              hosts: ["default/*", "teams/only.example.com"]
        """
        + service("mine", "mine.example.com, only.example.com", TO_REVIEWS, gateways="infra/shared")
        + service("theirs", "theirs.example.com", TO_REVIEWS, gateways="infra/shared").replace(
            "{name: theirs}", "{name: theirs, namespace: teams}"
        )
    )
    more = gateway.at(8082)
    assert (await more.get("http://mine.example.com/")).status_code == 200
    assert (await more.get("http://theirs.example.com/")).status_code == 404, "no server is for it"


async def test_a_gateway_that_selects_another_proxy_opens_no_port_here(gateway: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: other}
        spec:
          selector: {istio: egressgateway}
          servers: [{port: {number: 8083, name: http, protocol: HTTP}, hosts: ["*"]}]
    """)
    with pytest.raises(httpx.ConnectError):
        await gateway.at(8083).get("http://any.example.com/")


async def test_websockets_pass(mesh: LiveMesh, gateway: Caller, rules: Rules) -> None:
    server = await mesh.tcp_server("upgrading", 9443)
    await rules(
        service("ws", "ws.example.com", "{route: [{destination: {host: ws.test}}]}")
        + f"""
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: ws}}
        spec:
          hosts: [ws.test]
          ports: [{{number: 9080, name: http, protocol: HTTP, targetPort: 9443}}]
          resolution: STATIC
          endpoints: [{{address: {server.address}}}]
    """
    )

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"upgrade: websocket" in head.lower()
        writer.write(b"HTTP/1.1 101 Switching\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n")
        writer.write(await reader.readexactly(5))
        await writer.drain()

    server.serve = upgrade
    reader, writer = await asyncio.open_connection(gateway.address, gateway.port)
    writer.write(
        b"GET / HTTP/1.1\r\nhost: ws.example.com\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: bWl6emVuIG1penplbiBtaQ==\r\n\r\n"
    )
    async with asyncio.timeout(60):
        assert b"101 Switching" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
    writer.close()
