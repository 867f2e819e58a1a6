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

    @property
    def node(self) -> dict[str, Any]:
        """The node of its bootstrap."""
        name = self.labels[0][1]
        return {
            "id": f"{self.kind}~{self.address}~{name}.default~{_DOMAIN}",
            "cluster": f"{name}.default",
            "metadata": {
                "NAMESPACE": "default",
                "LABELS": dict(self.labels),
                "INTERCEPTION_MODE": "NONE" if self.port != 15001 else "REDIRECT",
            },
        }


PROXIES = {
    "sidecar": Proxy("sidecar", "127.0.0.2", PORT, 19001, (("app", "client"),), delta=True),
    "gateway": Proxy("router", "127.0.0.3", 8080, 19002, (("istio", "ingressgateway"),), delta=False),
}
CAPTURED = Proxy("sidecar", "127.0.0.6", 15001, 19003, (("app", "captured"),), delta=True)
"""A sidecar with captured listeners, which nothing is redirected to: for attacks that need one."""
MARKER_PORT = 8081
"""Where the gateway answers for the marker: attacks move what it has for `reviews`."""


def target(proxy: str, service: str) -> Target:
    """Return where to ask for a service by way of one of the proxies."""
    found = PROXIES[proxy]
    if proxy == "sidecar":
        return Target(proxy, found.address, found.port, service)
    port = MARKER_PORT if service == "marker" else found.port
    return Target(proxy, found.address, port, f"{service}.example.com")


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


def gateway(name: str = "ingress", port: int = PROXIES["gateway"].port) -> dict[str, Any]:
    """Return a Gateway for all hosts of a port."""
    found = PROXIES["gateway"]
    server = {
        "port": {"number": port, "name": "http", "protocol": "HTTP"},
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


def routes(host: str = "reviews", *, subset: str = "", gateway: str = "ingress") -> str:
    """Return the VirtualService of `reviews`, which sends all requests to a service, or to a subset of it."""
    destination = {"host": host, **({"subset": subset} if subset else {})}
    return text(virtual_service("reviews", [{"route": [{"destination": destination}]}], gateway=gateway))


def label(number: int) -> str:
    """Return what is answered for the marker: always as long, so that a file has one size."""
    return f"change-{number:06}"


def marker(number: int) -> str:
    """Return the VirtualService of `marker`, which answers with the label of a number."""
    answer = {"directResponse": {"status": 200, "body": {"string": label(number)}}}
    return text(virtual_service("marker", [answer], gateway="marker"))


def files() -> dict[str, str]:
    """Return all files of the mesh as it is before an attack, by name."""
    return {
        "services.yaml": text(service("reviews"), workload("reviews", "blue")),
        "routes.yaml": routes(),
        "gateway.yaml": text(gateway()),
        "sidecar.yaml": text(sidecar()),
        "marker-service.yaml": text(service("marker"), gateway("marker", MARKER_PORT)),
        "marker.yaml": marker(0),
    }
