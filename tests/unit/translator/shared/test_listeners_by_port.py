"""A change builds the listeners of the ports that it concerns, and of no other."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.listeners.outbound import OutboundListenerBuilder
from mizzen.translator.translation import Translation


def entry(name: str, port: int, protocol: str, address: str = "", year: int = 2020) -> Any:
    ports = [{"number": port, "name": "p", "protocol": protocol}]
    spec: Any = {"hosts": [f"{name}.example"], "ports": ports, "resolution": "STATIC"}
    metadata = {"name": name, "namespace": "shop", "creationTimestamp": f"{year}-01-01T00:00:00Z"}
    spec |= {"addresses": [address]} if address else {}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": metadata,
        "spec": spec,
    }


def routed(host: str, protocol: str) -> Any:
    spec = {"hosts": [host], protocol: [{"route": [{"destination": {"host": host}}]}]}
    metadata = {"name": "routed", "namespace": "shop"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": metadata,
        "spec": spec,
    }


@pytest.mark.parametrize(
    ("changed", "ports"),
    [
        (entry("new", 8081, "HTTP"), [8081]),
        (entry("younger", 8080, "HTTP", year=2021), []),
        (entry("older", 8080, "HTTP", year=2019), [8080]),
        (entry("other-db", 3306, "TCP", "10.0.0.2"), [3306]),
        (routed("web.example", "http"), []),
        (routed("db.example", "tcp"), [3306]),
    ],
    ids=["new port", "one more HTTP service", "the oldest one", "a TCP service", "HTTP rules", "TCP rules"],
)
def test_only_ports_that_a_change_concerns(
    changed: Any, ports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []
    build = OutboundListenerBuilder.build

    def recorded(self: OutboundListenerBuilder, number: int) -> Any:
        built.append(number)
        return build(self, number)

    monkeypatch.setattr(OutboundListenerBuilder, "build", recorded)
    standing = [entry("web", 8080, "HTTP"), entry("db", 3306, "TCP", "10.0.0.1"), entry("api", 9090, "GRPC")]
    store = ConfigStore()
    store.apply({"m.yaml": parse_documents(yaml.safe_dump_all(standing).encode(), "m.yaml")})
    mesh = Mesh.build(store.configs())
    translation = Translation(mesh)
    node = {"id": "sidecar~10.9.0.1~me.shop~shop.svc.cluster.local", "metadata": {"NAMESPACE": "shop"}}
    proxy = mizzen.Proxy.from_node(node)
    translation.snapshot(proxy)
    assert sorted(built) == [3306, 8080, 9090]
    built.clear()
    change = store.apply({"n.yaml": parse_documents(yaml.safe_dump(changed).encode(), "n.yaml")})
    mesh, _ = mesh.updated(change)
    translation.update(mesh)
    translation.snapshot(proxy)
    assert built == ports
