"""The mesh that is attacked: its YAML, its two proxies, its servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from tests.chaos.load import Target

PORT = 9080
SERVERS = {"blue": "127.0.0.4", "green": "127.0.0.5"}
_DOMAIN = "default.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An Envoy of the mesh."""

    kind: str
    address: str
    port: int
    admin_port: int
    labels: tuple[tuple[str, str], ...]
    delta: bool
    host_suffix: str

    @property
    def node(self) -> dict[str, Any]:
        """The node of its bootstrap."""
        name = "client" if self.kind == "sidecar" else "ingress"
        return {
            "id": f"{self.kind}~{self.address}~{name}.default~{_DOMAIN}",
            "cluster": f"{name}.default",
            "metadata": {
                "NAMESPACE": "default",
                "LABELS": dict(self.labels),
                "INTERCEPTION_MODE": "NONE",
            },
        }


PROXIES = {
    "sidecar": Proxy("sidecar", "127.0.0.2", PORT, 15001, (("app", "client"),), delta=True, host_suffix=""),
    "gateway": Proxy(
        "router", "127.0.0.3", 8080, 15002, (("istio", "ingressgateway"),), False, host_suffix=".example.com"
    ),
}


def target(proxy: str, service: str) -> Target:
    """Return where to ask for a service by way of one of the proxies."""
    found = PROXIES[proxy]
    return Target(proxy, found.address, found.port, service + found.host_suffix)


def document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a document of the mesh's only namespace."""
    group = "v1" if kind == "Service" else "networking.istio.io/v1"
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def text(*documents: dict[str, Any]) -> str:
    """Return the text of a file with these documents."""
    return yaml.safe_dump_all(documents, sort_keys=False)


def service(name: str) -> dict[str, Any]:
    """Return a Service whose workloads have its name as `app`."""
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": PORT}]}
    return document("Service", name, spec)


def workload(app: str, server: str) -> dict[str, Any]:
    """Return the WorkloadEntry of one of the servers, as a workload of `app`."""
    spec = {"address": SERVERS[server], "labels": {"app": app, "version": server}}
    return document("WorkloadEntry", f"{app}-{server}", spec)


def virtual_service(name: str, http: list[dict[str, Any]], *, gateway: str = "ingress") -> dict[str, Any]:
    """Return a VirtualService for the same host in the mesh and at the gateway."""
    hosts = [name, f"{name}.example.com"]
    return document("VirtualService", name, {"hosts": hosts, "gateways": ["mesh", gateway], "http": http})


def gateway(name: str = "ingress") -> dict[str, Any]:
    """Return the Gateway."""
    found = PROXIES["gateway"]
    server = {
        "port": {"number": found.port, "name": "http", "protocol": "HTTP"},
        "bind": found.address,
        "hosts": ["*"],
    }
    return document("Gateway", name, {"selector": dict(found.labels), "servers": [server]})


def sidecar() -> dict[str, Any]:
    """Return the Sidecar with the listener that requests are sent to."""
    found = PROXIES["sidecar"]
    egress = {
        "port": {"number": found.port, "name": "http", "protocol": "HTTP"},
        "bind": found.address,
        "captureMode": "NONE",
        "hosts": ["*/*"],
    }
    return document(
        "Sidecar", "client", {"workloadSelector": {"labels": dict(found.labels)}, "egress": [egress]}
    )


def routes(host: str = "reviews") -> str:
    """Return the VirtualService of `reviews`, which sends all requests to a service."""
    return text(virtual_service("reviews", [{"route": [{"destination": {"host": host}}]}]))


def marker(number: int | str) -> str:
    """Return the VirtualService of `marker`, which answers with a number."""
    answer = {"directResponse": {"status": 200, "body": {"string": str(number)}}}
    return text(virtual_service("marker", [answer]))


def files() -> dict[str, str]:
    """Return all files of the mesh as it is before an attack, by name."""
    return {
        "services.yaml": text(service("reviews"), workload("reviews", "blue"), service("marker")),
        "proxies.yaml": text(gateway(), sidecar()),
        "routes.yaml": routes(),
        "marker.yaml": marker(0),
    }
