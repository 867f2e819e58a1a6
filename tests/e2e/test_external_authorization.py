"""AuthorizationPolicies of action CUSTOM: a service outside the proxy decides, asked by HTTP or by gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
import yaml
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
from google.rpc import code_pb2
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import SERVICE_PORT, LiveMesh
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import Workload
from tests.e2e.edge import HOST, SELECTOR, edge
from tests.forked_mizzen import mizzen

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

DENIED = "the gatekeeper says no"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(mesh: LiveMesh) -> Caller:
    return await edge(mesh)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http_authorizer(mesh: LiveMesh) -> Workload:
    """Denies what goes to /admin/no, and says of the rest who asks."""

    async def respond(request: Request) -> Response:
        if request.url.path.endswith("/no"):
            return PlainTextResponse(DENIED, 403, {"x-why": "because", "x-inside": "secret"})
        return PlainTextResponse("", 200, {"x-user": "jason"})

    workload = await mesh.workload("gate")
    workload.respond = respond
    return workload


class GrpcAuthorizer(external_auth_pb2_grpc.AuthorizationServicer):
    """The same in Envoy's own protocol."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.tcp_allowed = True

    async def Check(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        answer = external_auth_pb2.CheckResponse()
        path = request.attributes.request.http.path
        if not path:  # TCP
            answer.status.code = code_pb2.OK if self.tcp_allowed else code_pb2.PERMISSION_DENIED
        elif path.endswith("/no"):
            answer.status.code = code_pb2.PERMISSION_DENIED
            answer.denied_response.status.code = 403
            answer.denied_response.body = DENIED
        else:
            header = base_pb2.HeaderValue(key="x-user", value="jason")
            answer.ok_response.headers.append(base_pb2.HeaderValueOption(header=header))
        return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grpc_authorizer(mesh: LiveMesh) -> AsyncIterator[GrpcAuthorizer]:
    authorizer = GrpcAuthorizer()
    address = mesh.next_address()
    server = grpc.aio.server()
    external_auth_pb2_grpc.add_AuthorizationServicer_to_server(authorizer, server)
    server.add_insecure_port(f"{address}:{SERVICE_PORT}")
    await server.start()
    mesh.write(
        "grpc-gate.yaml",
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "grpc-gate"},
            "spec": {
                "hosts": ["grpc-gate.example"],
                "location": "MESH_INTERNAL",
                "resolution": "STATIC",
                "ports": [{"number": SERVICE_PORT, "name": "grpc", "protocol": "GRPC"}],
                "endpoints": [{"address": address}],
            },
        },
    )
    yield authorizer
    await server.stop(0)


def settings(*providers: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": yaml.safe_dump({"extensionProviders": list(providers)})},
    }


def by_http(**fields: Any) -> dict[str, Any]:
    service = {"service": "gate.default.svc.cluster.local", "port": SERVICE_PORT}
    return {"name": "gate", "envoyExtAuthzHttp": {**service, **fields}}


def by_grpc(**fields: Any) -> dict[str, Any]:
    service = {"service": "grpc-gate.example", "port": SERVICE_PORT}
    return {"name": "gate", "envoyExtAuthzGrpc": {**service, **fields}}


AT_TCP = {"key": "destination.port", "values": ["3307"]}

CUSTOM = {
    "apiVersion": "security.istio.io/v1",
    "kind": "AuthorizationPolicy",
    "metadata": {"name": "ask"},
    "spec": {
        "selector": SELECTOR,
        "action": "CUSTOM",
        "provider": {"name": "gate"},
        "rules": [{"to": [{"operation": {"paths": ["/admin*"]}}]}],
    },
}


TCP_PORT = 3307
TCP = f"""
    apiVersion: networking.istio.io/v1
    kind: Gateway
    metadata: {{name: tcp}}
    spec:
      selector: {{istio: ingressgateway}}
      servers: [{{port: {{number: {TCP_PORT}, name: tcp, protocol: TCP}}, hosts: ["*"]}}]
    ---
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {{name: tcp}}
    spec:
      hosts: ["*"]
      gateways: [tcp]
      tcp: [{{route: [{{destination: {{host: database.test}}}}]}}]
    ---
    apiVersion: networking.istio.io/v1
    kind: ServiceEntry
    metadata: {{name: database}}
    spec:
      hosts: [database.test]
      ports: [{{number: 3306, name: tcp, protocol: TCP}}]
      resolution: STATIC
      endpoints: [{{address: ADDRESS}}]
"""


async def get(gateway: Caller, path: str, **headers: str) -> httpx.Response:
    # A connection that is kept stays with the old listener.
    return await gateway.get(f"http://{HOST}{path}", headers={"connection": "close", **headers})


async def decided(
    gateway: Caller, mesh: LiveMesh, provider: dict[str, Any], expected: dict[str, int]
) -> None:
    """Apply the provider and the policy, and wait until the gateway answers like that."""
    mesh.write("policy.yaml", CUSTOM)
    await mesh.apply("settings.yaml", settings(provider))

    async def as_expected() -> bool:
        return {path: (await get(gateway, path)).status_code for path in expected} == expected

    await eventually(as_expected, f"{expected}")


async def test_an_authorizer_by_http_says_no(
    gateway: Caller, mesh: LiveMesh, http_authorizer: Workload
) -> None:
    provider = by_http(
        pathPrefix="/check",
        includeRequestHeadersInCheck=["x-ask*"],
        includeAdditionalHeadersInCheck={"x-added": "by-the-proxy"},
        headersToUpstreamOnAllow=["x-user"],
        headersToDownstreamOnDeny=["x-why"],
        headersToDownstreamOnAllow=["x-user"],
    )
    await decided(gateway, mesh, provider, {"/admin/no": 403, "/admin/yes": 200, "/a": 200})
    denied = await get(gateway, "/admin/no")
    assert denied.text == DENIED
    assert denied.headers["x-why"] == "because"
    assert "x-inside" not in denied.headers
    http_authorizer.requests.clear()
    allowed = await get(gateway, "/admin/yes", **{"x-ask-me": "1", "x-other": "2"})
    assert allowed.json()["headers"]["x-user"] == "jason"
    assert allowed.headers["x-user"] == "jason"
    [asked] = http_authorizer.requests
    assert asked["path"] == "/check/admin/yes"
    assert asked["headers"]["x-ask-me"] == "1"
    assert asked["headers"]["x-added"] == "by-the-proxy"
    assert "x-other" not in asked["headers"]
    http_authorizer.requests.clear()
    assert "x-user" not in (await get(gateway, "/a")).json()["headers"]
    assert not http_authorizer.requests


async def test_an_authorizer_by_grpc_says_no(
    gateway: Caller, mesh: LiveMesh, grpc_authorizer: GrpcAuthorizer
) -> None:
    provider = by_grpc(includeRequestBodyInCheck={"maxRequestBytes": 64, "allowPartialMessage": True})
    await decided(gateway, mesh, provider, {"/admin/no": 403, "/admin/yes": 200, "/a": 200})
    assert (await get(gateway, "/admin/no")).text == DENIED
    grpc_authorizer.asked.clear()
    answer = await gateway.request("POST", f"http://{HOST}/admin/yes", content=b"what I want")
    assert answer.json()["headers"]["x-user"] == "jason"
    [asked] = grpc_authorizer.asked
    assert asked.attributes.request.http.body == "what I want"


@pytest.mark.parametrize(
    ("fields", "status"), [({}, 403), ({"statusOnError": "503"}, 503), ({"failOpen": True}, 200)]
)
@pytest.mark.parametrize("provider", [by_http, by_grpc])
async def test_an_authorizer_that_is_down(
    gateway: Caller, mesh: LiveMesh, provider: Any, fields: dict[str, Any], status: int
) -> None:
    # The service is there, and nothing listens at its endpoint.
    mesh.write(
        "down.yaml",
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "down"},
            "spec": {
                "hosts": ["down.example"],
                "resolution": "STATIC",
                "ports": [{"number": 9001, "name": "grpc", "protocol": "GRPC"}],
                "endpoints": [{"address": mesh.gateway_address}],
            },
        },
    )
    down = provider(timeout="1s", **fields, service="down.example", port=9001)
    await decided(gateway, mesh, down, {"/admin/yes": status, "/a": 200})


async def test_an_authorizer_that_is_not_there_is_named_and_what_it_would_decide_is_denied(
    gateway: Caller, mesh: LiveMesh
) -> None:
    await decided(gateway, mesh, {**by_http(), "name": "another"}, {"/admin/yes": 403, "/a": 200})
    code, out, err = await mizzen("analyze", str(mesh.config))
    [line] = [each for each in (out + err).splitlines() if "IST0101" in each]
    assert "policy.yaml:11: error IST0101 spec.provider.name" in line
    assert 'no extension provider "gate" of external authorization (it has another)' in line
    assert code != 0


async def echoes(address: str, port: int) -> bool:
    """Whether what is said arrives. Envoy asks when the client speaks: it lets a server speak before that."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(b"hello\n")
        async with asyncio.timeout(60):
            return b"hello\n" in [await reader.readline(), await reader.readline()]
    except ConnectionError:
        return False
    finally:
        writer.close()


async def test_connections_of_tcp_are_asked_about_by_grpc_alone(
    gateway: Caller, mesh: LiveMesh, grpc_authorizer: GrpcAuthorizer, http_authorizer: Workload
) -> None:
    database = await mesh.tcp_server("database", 3306)
    mesh.write("tcp.yaml", TCP.replace("ADDRESS", database.address))
    rules = {**CUSTOM, "spec": {**CUSTOM["spec"], "rules": [{"when": [AT_TCP]}]}}
    mesh.write("policy.yaml", rules)
    await mesh.apply("settings.yaml", settings(by_grpc()))

    async def answered(expected: bool) -> None:
        async def as_expected() -> bool:
            return await echoes(gateway.address, TCP_PORT) is expected

        await eventually(as_expected, f"{expected}")

    grpc_authorizer.asked.clear()
    grpc_authorizer.tcp_allowed = False
    await answered(False)
    grpc_authorizer.tcp_allowed = True
    await answered(True)
    asked = grpc_authorizer.asked[-1].attributes.destination.address.socket_address
    assert (asked.address, asked.port_value) == (gateway.address, TCP_PORT)
    assert (await get(gateway, "/admin/no")).status_code == 200, "the rule is for another port"

    grpc_authorizer.tcp_allowed = False
    await answered(False)
    http_authorizer.requests.clear()
    await mesh.apply("settings.yaml", settings(by_http()))
    await answered(True)
    assert not http_authorizer.requests, "as in Istio, nobody asks about TCP by HTTP"
