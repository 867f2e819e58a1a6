"""Listeners of one proxy, asked for in Istio's YAML and read back as what becomes of a connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml
from google.protobuf import json_format

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.config.diagnostics import Severity
from mizzen.config.mesh_config_text import parse_mesh_config
from mizzen.mesh.snapshot import Mesh

HTTP_MATCH = {"application_protocols": ["http/1.1", "h2c"], "transport_protocol": "raw_buffer"}
ADDRESS = "10.0.0.7"


@dataclass(frozen=True)
class Sent:
    """What a proxy is sent: listeners by name as plain data, and the warnings."""

    listeners: dict[str, dict[str, Any]]
    routes: tuple[str, ...]
    warnings: tuple[str, ...]
    proxy: mizzen.Proxy
    mesh: Mesh

    def chains(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """(match, target) of each chain; `{"otherwise": True}` is the match of the default chain."""
        listener = self.listeners[name]
        found = [(chain.get("filter_chain_match", {}), target(chain)) for chain in listener["filter_chains"]]
        if "default_filter_chain" in listener:
            found.append(({"otherwise": True}, target(listener["default_filter_chain"])))
        return found

    def filters(self, name: str) -> list[str]:
        """The listener filters of a listener, by the last part of their names."""
        return [each["name"].rpartition(".")[2] for each in self.listeners[name].get("listener_filters", ())]

    def manager(self, name: str, index: int = 0) -> dict[str, Any]:
        """The HTTP connection manager of a listener's chain."""
        found = self.listeners[name]["filter_chains"][index]["filters"][-1]["typed_config"]
        assert found["@type"].endswith(".HttpConnectionManager")
        return found

    def tcp(self, name: str, index: int = 0) -> dict[str, Any]:
        """The TCP proxy of a listener's chain."""
        found = self.listeners[name]["filter_chains"][index]["filters"][-1]["typed_config"]
        assert found["@type"].endswith(".TcpProxy")
        return found


def target(chain: dict[str, Any]) -> Any:
    """Where a chain sends its connections: `routes NAME`, `inline NAME`, a cluster, or clusters by weight."""
    config = chain["filters"][-1]["typed_config"]
    if config["@type"].endswith(".HttpConnectionManager"):
        if "rds" in config:
            return f"routes {config['rds']['route_config_name']}"
        return f"inline {config['route_config']['name']}"
    if "weighted_clusters" in config:
        return {each["name"]: each["weight"] for each in config["weighted_clusters"]["clusters"]}
    return config["cluster"]


def mesh_of(documents: Iterable[Any], mesh_config: dict[str, Any] | None = None) -> Mesh:
    """A mesh of documents that have no errors."""
    text = yaml.safe_dump_all(documents).encode()
    store = ConfigStore()
    store.apply({"mesh.yaml": parse_documents(text, "mesh.yaml")})
    errors = [str(found) for found in store.diagnostics() if found.severity is Severity.ERROR]
    assert errors == [], errors
    settings, found = parse_mesh_config(yaml.safe_dump(mesh_config or {}), "mesh-config.yaml")
    assert settings is not None, [str(each) for each in found]
    return Mesh.build(store.configs(), settings)


def proxy(kind: str = "sidecar", address: str = ADDRESS, labels: Any = None, **metadata: Any) -> mizzen.Proxy:
    """A proxy of the namespace default."""
    metadata = {"NAMESPACE": "default", "LABELS": labels or {"app": "client"}, **metadata}
    node_id = f"{kind}~{address}~client-1.default~default.svc.cluster.local"
    return mizzen.Proxy.from_node({"id": node_id, "metadata": metadata})


def sent(
    *documents: Any, mesh: dict[str, Any] | None = None, to: mizzen.Proxy | None = None, **metadata: Any
) -> Sent:
    """What the proxy `to` (or a sidecar with that metadata) is sent in a mesh of these documents."""
    flat = [each for one in documents for each in (one if isinstance(one, list) else [one])]
    built = mesh_of(flat, mesh)
    reader = to if to is not None else proxy(**metadata)
    resources = mizzen.translate(built, reader)
    listeners = [
        json_format.MessageToDict(each, preserving_proto_field_name=True) for each in resources.listeners
    ]
    return Sent(
        {each["name"]: each for each in listeners},
        tuple(each.name for each in resources.routes),
        tuple(f"{found.code} {found.message}" for found in resources.diagnostics),
        reader,
        built,
    )


def document(kind: str, name: str, spec: Any, *, namespace: str = "default", age: int = 0) -> dict[str, Any]:
    """An Istio document; the larger `age`, the older it is."""
    group = "security" if kind == "PeerAuthentication" else "networking"
    return {
        "apiVersion": f"{group}.istio.io/v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": f"{2026 - age}-01-01T00:00:00Z",
        },
        "spec": spec,
    }


def service(
    host: str,
    port: int,
    protocol: str = "",
    *,
    address: str = "",
    resolution: str = "STATIC",
    endpoints: Iterable[str] = ("10.9.0.1",),
    age: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """A ServiceEntry of one port; an empty protocol is detected."""
    spec: dict[str, Any] = {
        "hosts": [host],
        "ports": [{"number": port, "name": "p", "protocol": protocol}],
        "resolution": resolution,
        **more,
    }
    if address:
        spec["addresses"] = [address]
    if resolution in ("STATIC", "DNS") or endpoints != ("10.9.0.1",):
        spec["endpoints"] = [{"address": each} for each in endpoints]
    return document("ServiceEntry", host.replace("*", "any").replace(".", "-"), spec, age=age)


def rule(
    host: str, *, age: int = 0, gateways: Iterable[str] = (), name: str = "", **spec: Any
) -> dict[str, Any]:
    """A VirtualService of one host."""
    if gateways:
        spec["gateways"] = list(gateways)
    return document(
        "VirtualService", name or f"rule-{host.replace('*', 'any')}", {"hosts": [host], **spec}, age=age
    )


def to(host: str, *, port: int = 0, subset: str = "", weight: int | None = None) -> dict[str, Any]:
    """One destination of a route."""
    destination: dict[str, Any] = {"host": host}
    if port:
        destination["port"] = {"number": port}
    if subset:
        destination["subset"] = subset
    return {"destination": destination} | ({} if weight is None else {"weight": weight})


def gateway(*servers: dict[str, Any], name: str = "edge", age: int = 0) -> dict[str, Any]:
    """A Gateway of the proxies that `router` makes."""
    return document("Gateway", name, {"selector": {"istio": "edge"}, "servers": list(servers)}, age=age)


def server(number: int, protocol: str, *hosts: str, name: str = "", **more: Any) -> dict[str, Any]:
    """A server of a Gateway."""
    port = {"number": number, "name": name or f"{protocol.lower()}-{number}", "protocol": protocol}
    return {"port": port, "hosts": list(hosts or ("*",)), **more}


def router(**metadata: Any) -> mizzen.Proxy:
    """A gateway proxy."""
    return proxy("router", labels={"istio": "edge"}, **metadata)
