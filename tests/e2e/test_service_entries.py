"""Services that are told of by ServiceEntries: addresses, names, selected workloads, Unix sockets."""

from __future__ import annotations

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.ports import free_port
from mizzen.testing.workloads import Workload
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    # A port without any service has no listener.
    await mesh.workload("reviews", version="v1")
    return await mesh.client(policy="REGISTRY_ONLY")


async def test_static_addresses(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    first = await mesh.server("first")
    second = await mesh.server("second", port=9081)
    await rules(f"""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: static}}
        spec:
          hosts: [api.example.com]
          ports: [{{number: 9080, name: http, protocol: HTTP}}]
          resolution: STATIC
          endpoints:
            - {{address: {first.address}}}
            - {{address: {second.address}, ports: {{http: 9081}}}}
    """)
    names = await client.count("http://api.example.com/", 40, lambda answer: answer.json()["workload"])
    assert set(names) == {"first", "second"}


async def test_names_are_resolved_by_dns(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    server = Workload("local", {}, "127.0.0.1", free_port())
    mesh.workloads.append(server)
    await server.start()
    await rules(f"""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: dns}}
        spec:
          hosts: [named.example.com]
          ports: [{{number: 9080, name: http, protocol: HTTP, targetPort: {server.port}}}]
          resolution: DNS
          endpoints: [{{address: localhost}}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: itself}}
        spec:
          hosts: [localhost]
          ports: [{{number: 9080, name: http, protocol: HTTP, targetPort: {server.port}}}]
          resolution: DNS_ROUND_ROBIN
    """)
    for url in ("http://named.example.com/", "http://localhost/"):
        answer = await client.eventually(url, lambda answer: answer.status_code == 200)
        assert answer.json()["workload"] == "local"


async def test_workloads_are_selected_by_labels(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    one, two, other = [await mesh.server(name) for name in ("one", "two", "other")]

    def entry(name: str, address: str, label: str, more: str = "") -> str:
        return f"""
        ---
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {{name: {name}}}
        spec: {{address: {address}, labels: {{app: {label}}}{more}}}
        """

    service = """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: selecting}
        spec:
          hosts: [selecting.example.com]
          ports: [{number: 9080, name: http, protocol: HTTP}]
          resolution: STATIC
          workloadSelector: {labels: {app: chosen}}
    """
    first = service + entry("one", one.address, "chosen") + entry("other", other.address, "different")
    await rules(first)
    url = "http://selecting.example.com/"
    assert set(await client.count(url, 10, lambda answer: answer.json()["workload"])) == {"one"}
    await rules(first + entry("two", two.address, "chosen"))
    assert set(await client.count(url, 30, lambda answer: answer.json()["workload"])) == {"one", "two"}


async def test_a_unix_socket(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    path = mesh.directory / "server.sock"
    await mesh.server("by-socket", path=str(path))
    await rules(f"""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: socket}}
        spec:
          hosts: [socket.example.com]
          ports: [{{number: 9080, name: http, protocol: HTTP}}]
          resolution: STATIC
          endpoints: [{{address: "unix://{path}"}}]
    """)
    assert (await client.get("http://socket.example.com/a")).json()["workload"] == "by-socket"


@pytest.mark.parametrize(
    ("export_to", "status"), [('["*"]', 200), ('["."]', 502), ("[default]", 200), ("[elsewhere]", 502)]
)
async def test_a_service_is_visible_where_it_is_exported_to(
    mesh: LiveMesh, client: Caller, rules: Rules, export_to: str, status: int
) -> None:
    server = mesh.workloads[0]
    await rules(f"""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: exported, namespace: partners}}
        spec:
          hosts: [partner.example.com]
          exportTo: {export_to}
          ports: [{{number: 9080, name: http, protocol: HTTP}}]
          resolution: STATIC
          endpoints: [{{address: {server.address}}}]
    """)
    assert (await client.get("http://partner.example.com/")).status_code == status


async def test_a_wildcard_host_is_for_all_names_under_it(
    mesh: LiveMesh, client: Caller, rules: Rules
) -> None:
    server = await mesh.server("wild")
    await rules(f"""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: wild}}
        spec:
          hosts: ["*.wild.example.com"]
          ports: [{{number: 9080, name: http, protocol: HTTP}}]
          resolution: STATIC
          endpoints: [{{address: {server.address}}}]
    """)
    assert (await client.get("http://a.b.wild.example.com/")).json()["workload"] == "wild"
    assert (await client.get("http://wild.example.com/")).status_code == 502


async def test_no_endpoints_is_unavailable(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: empty}
        spec:
          hosts: [empty.example.com]
          ports: [{number: 9080, name: http, protocol: HTTP}]
          resolution: STATIC
    """)
    assert (await client.get("http://empty.example.com/")).status_code == 503
