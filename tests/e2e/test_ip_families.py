"""IPv6: proxies that have nothing else, and proxies that use both families (dual stack), over ::1."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio

from mizzen.demo.loopback import is_free
from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.ports import free_port
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import Workload


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = [
    pytest.mark.envoy,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.optional("needs IPv6"),
    pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback address"),
]

DUAL_STACK = {"PROXY_CONFIG": {"proxyMetadata": {"ISTIO_DUAL_STACK": "true"}}}


def service_entry(name: str, port: int, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name},
        "spec": {
            "hosts": [f"{name}.internal"],
            "ports": [{"number": port, "name": "http", "protocol": "HTTP"}],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            **spec,
        },
    }


def pod_service(name: str, port: int, target: int, addresses: list[str]) -> list[Mapping[str, Any]]:
    """A Kubernetes Service of one pod that has all these addresses."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {
                "selector": {"app": name},
                "ports": [{"name": "http", "port": port, "targetPort": target}],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "status": {
                "podIP": addresses[0],
                "podIPs": [{"ip": address} for address in addresses],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        },
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(mesh: LiveMesh) -> AsyncIterator[Workload]:
    """A workload that listens on ::1 alone."""
    workload = Workload("web", {}, "::1", free_port(socket.AF_INET6))
    await workload.start()
    yield workload
    await workload.stop()


async def answers(caller: Caller, url: str) -> None:
    """Wait until the workload answers at `url`, under its own name in the mesh."""

    async def so() -> bool:
        try:
            answer = await caller.http.get(url, headers={"host": "web.internal"})
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()["workload"] == "web"

    await eventually(so, f"{url} is answered")


def port_of_both_families() -> int:
    """Return a port that is free on 127.0.0.1 and on ::1."""
    while True:
        port = free_port(socket.AF_INET6)
        if is_free("127.0.0.1", port):
            return port


async def refuses(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        return probe.connect_ex((host, port)) != 0


async def test_a_proxy_with_ipv6_alone(mesh: LiveMesh, web: Workload) -> None:
    port = port_of_both_families()
    mesh.write(
        "web.yaml",
        service_entry("web", port, endpoints=[{"address": "::1", "ports": {"http": web.port}}]),
    )
    caller = await mesh.sidecar("ipv6", "2001:db8::6", {})
    await mesh.settled()
    assert (await caller.http.get(f"http://[::1]:{port}/", headers={"host": "web.internal"})).is_success
    assert await refuses("127.0.0.1", port)
    await caller.stop()
    mesh.callers.remove(caller)


async def test_a_dual_proxy_is_called_and_calls_by_both_families(mesh: LiveMesh, web: Workload) -> None:
    port = port_of_both_families()
    mesh.write(
        "web.yaml",
        service_entry("web", port, endpoints=[{"address": "::1", "ports": {"http": web.port}}]),
    )
    both = {"INSTANCE_IPS": "192.0.2.6,2001:db8::6"}
    off = await mesh.sidecar("off", "192.0.2.6", {}, metadata=both)
    await answers(off, f"http://127.0.0.1:{port}/")
    assert await refuses("::1", port)
    await off.stop()
    mesh.callers.remove(off)
    caller = await mesh.sidecar("dual", "192.0.2.6", {}, metadata={**both, **DUAL_STACK})
    for address in ("127.0.0.1", "[::1]"):
        await answers(caller, f"http://{address}:{port}/")
    # A workload whose first address nobody listens on is reached at its other one.
    nobody = mesh.next_address()
    mesh.write("web.yaml", pod_service("web", port, web.port, [nobody, "::1"]))
    await mesh.settled()
    answer = await caller.http.get(f"http://[::1]:{port}/", headers={"host": "web"})
    assert answer.json()["workload"] == "web"
    # A name is resolved in both families.
    name = [{"address": "localhost", "ports": {"http": web.port}}]
    mesh.write("web.yaml", service_entry("web", port, resolution="DNS", endpoints=name))
    await mesh.settled()
    await answers(caller, f"http://127.0.0.1:{port}/")
    await caller.stop()
    mesh.callers.remove(caller)


async def test_a_gateway_with_dual_stack(mesh: LiveMesh, web: Workload) -> None:
    port = port_of_both_families()
    mesh.write(
        "web.yaml", service_entry("web", 80, endpoints=[{"address": "::1", "ports": {"http": web.port}}])
    )
    mesh.write_in_place(
        "gateway.yaml",
        f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: dual}}
spec:
  selector: {{app: dual}}
  servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: ["*"]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: dual}}
spec:
  hosts: ["*"]
  gateways: [dual]
  http: [{{route: [{{destination: {{host: web.internal}}}}]}}]
""",
    )
    both = {"INSTANCE_IPS": "192.0.2.7,2001:db8::7", **DUAL_STACK}
    caller = await mesh.gateway("dual", app="dual", metadata=both)
    await mesh.settled()
    for address in ("127.0.0.1", "[::1]"):
        await answers(caller, f"http://{address}:{port}/")
    mesh.remove("gateway.yaml")
