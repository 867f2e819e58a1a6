"""A Sidecar says what a workload may reach, and where its own traffic comes in."""

from __future__ import annotations

import httpx
import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import SERVICE_PORT, LiveMesh
from mizzen.testing.ports import free_port
from mizzen.testing.workloads import TcpWorkload, Workload, greeting
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(mesh: LiveMesh) -> None:
    for app in ("reviews", "ratings", "details"):
        await mesh.workload(app, version="v1")


@pytest.mark.usefixtures("services")
async def test_egress_hosts_limit_what_is_reached(mesh: LiveMesh) -> None:
    partner = await mesh.server("partner")
    mesh.write(
        "partner.yaml",
        f"""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: partner, namespace: partners}}
        spec:
          hosts: [partner.example.com]
          ports: [{{number: 9080, name: http, protocol: HTTP}}]
          resolution: STATIC
          endpoints: [{{address: {partner.address}}}]
        """,
    )
    hosts = ["./reviews.default.svc.cluster.local", "partners/*"]
    limited = await mesh.client("limited", policy="REGISTRY_ONLY", hosts=hosts)
    await mesh.settled()
    assert (await limited.get("http://reviews/")).status_code == 200
    assert (await limited.get("http://partner.example.com/")).json()["workload"] == "partner"
    assert (await limited.get("http://ratings/")).status_code == 502
    clusters = (await limited.admin("/clusters")).text
    assert "reviews.default" in clusters
    assert "ratings.default" not in clusters, "what cannot be reached is not even sent"


@pytest.mark.usefixtures("services")
async def test_a_sidecar_is_for_the_workloads_that_it_selects(mesh: LiveMesh, rules: Rules) -> None:
    one = await mesh.client("one", policy="REGISTRY_ONLY", hosts=["./ratings.default.svc.cluster.local"])
    two = await mesh.client("two", policy="REGISTRY_ONLY", hosts=["./details.default.svc.cluster.local"])
    await mesh.settled()
    for client, statuses in ((one, (200, 502)), (two, (502, 200))):
        found = [(await client.get(f"http://{name}/")).status_code for name in ("ratings", "details")]
        assert tuple(found) == statuses


async def _with_ingress(
    mesh: LiveMesh, name: str, address: str, port: int, endpoint: str, protocol: str = "HTTP"
) -> Caller:
    """Start the sidecar of a workload whose traffic comes in at `address` and goes on to `endpoint`."""
    await mesh.apply(
        f"sidecar-{name}.yaml",
        f"""
        apiVersion: networking.istio.io/v1
        kind: Sidecar
        metadata: {{name: {name}}}
        spec:
          workloadSelector: {{labels: {{app: {name}}}}}
          ingress:
            - port: {{number: {port}, protocol: {protocol}, name: in}}
              bind: {address}
              captureMode: NONE
              defaultEndpoint: {endpoint}
          egress: [{{hosts: ["~/*"]}}]
        """,
    )
    proxy = await mesh.sidecar(name, address, {"app": name}, port)
    await mesh.settled()
    return proxy


async def test_ingress_to_a_port_of_this_machine(mesh: LiveMesh) -> None:
    port = free_port()
    server = Workload("app", {}, "127.0.0.1", port)
    mesh.workloads.append(server)
    await server.start()
    proxy = await _with_ingress(mesh, "app", mesh.next_address(), SERVICE_PORT, f"127.0.0.1:{port}")
    answer = await proxy.get("http://app/a?b=c")
    assert (answer.json()["workload"], answer.json()["query"]) == ("app", "b=c")
    assert answer.headers["server"] == "istio-envoy"


async def test_ingress_to_a_unix_socket(mesh: LiveMesh) -> None:
    path = mesh.directory / "app.sock"
    await mesh.server("by-socket", path=str(path))
    proxy = await _with_ingress(mesh, "socketed", mesh.next_address(), SERVICE_PORT, f"unix://{path}")
    assert (await proxy.get("http://socketed/")).json()["workload"] == "by-socket"


async def test_ingress_of_tcp(mesh: LiveMesh) -> None:
    port = free_port()
    server = TcpWorkload("database", "127.0.0.1", port)
    mesh.workloads.append(server)
    await server.start()
    proxy = await _with_ingress(mesh, "database", mesh.next_address(), 3306, f"127.0.0.1:{port}", "TCP")
    assert await greeting(proxy.address, 3306) == "database"


@pytest.mark.usefixtures("services")
async def test_from_sidecar_to_sidecar(mesh: LiveMesh) -> None:
    """A request goes through the client's proxy and the server's, which limits it as the Sidecar says."""
    port = free_port()
    server = Workload("guarded", {}, "127.0.0.1", port)
    mesh.workloads.append(server)
    await server.start()
    address = mesh.next_address()
    await _with_ingress(mesh, "guarded", address, SERVICE_PORT, f"127.0.0.1:{port}")
    await mesh.apply(
        "guarded.yaml",
        f"""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: guarded}}
        spec:
          hosts: [guarded.test]
          ports: [{{number: 9080, name: http, protocol: HTTP}}]
          location: MESH_INTERNAL
          resolution: STATIC
          endpoints: [{{address: {address}}}]
        """,
    )
    client = await mesh.client("caller", policy="REGISTRY_ONLY")
    await mesh.settled()
    answer = await client.get("http://guarded.test/")
    assert answer.json()["workload"] == "guarded"
    assert answer.json()["headers"]["x-envoy-attempt-count"] == "1"


@pytest.mark.usefixtures("services")
async def test_an_egress_listener_may_be_a_unix_socket(mesh: LiveMesh) -> None:
    path = mesh.directory / "egress.sock"
    mesh.write(
        "sidecar-by-socket.yaml",
        f"""
        apiVersion: networking.istio.io/v1
        kind: Sidecar
        metadata: {{name: by-socket}}
        spec:
          workloadSelector: {{labels: {{app: by-socket}}}}
          egress:
            - port: {{number: 0, protocol: HTTP, name: egress}}
              bind: unix://{path}
              captureMode: NONE
              hosts: ["*/*"]
          outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}
        """,
    )
    await mesh.sidecar("by-socket", mesh.next_address(), {"app": "by-socket"})
    await mesh.settled()
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), timeout=60) as client:
        answer = await client.get("http://reviews.default:9080/")
        assert answer.json()["workload"] == "reviews-v1"
        assert (await client.get("http://unknown:9080/")).status_code == 502
