"""(g) What each kind of change costs from its document to the snapshots of four classes of proxies.

In this process: reading, validating, the mesh, translation, and what differs from the snapshot before. Every
port-80 route configuration of the mesh has all of its VirtualServices, as in most real meshes.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from typing import Any

import mizzen
from benchmarks.documents import NETWORKING, Documents, files, text
from benchmarks.translation_cost import node
from mizzen.config import ParsedFile, parse_documents
from mizzen.server.configuration import Configuration
from mizzen.translator.translation import Translation
from mizzen.xds import Snapshot
from mizzen.xds.type_urls import PUSH_ORDER

SIZES = (1_000, 10_000)
_ROUNDS = 5
_NAMESPACE = "namespace-7"


def proxies() -> dict[str, mizzen.Proxy]:
    """A sidecar, a sidecar that a Sidecar confines to its namespace and another, a gateway, and a gateway
    with AUTO_PASSTHROUGH."""
    return {
        "sidecar": mizzen.Proxy.from_node(node(0)),
        "confined sidecar": mizzen.Proxy.from_node(node(1, "confined")),
        "gateway": mizzen.Proxy.from_node(_router(2, "ingress")),
        "AUTO_PASSTHROUGH gateway": mizzen.Proxy.from_node(_router(3, "eastwest")),
    }


def _router(number: int, name: str) -> dict[str, object]:
    return {
        "id": f"router~10.250.0.{number + 1}~{name}.istio-system~istio-system.svc.cluster.local",
        "metadata": {"NAMESPACE": "istio-system", "LABELS": {"istio": name}},
    }


def _document(kind: str, namespace: str, spec: dict[str, Any], api: str = NETWORKING) -> dict[str, Any]:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": "changing", "namespace": namespace},
        "spec": spec,
    }


def _service(address: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 8000}, {"name": "http-80", "port": 80}]
    return _document("Service", _NAMESPACE, {"clusterIP": address, "ports": ports}, "v1")


def standing() -> Documents:
    """What the mesh has besides its services."""
    passing = {
        "port": {"number": 15443, "name": "tls", "protocol": "TLS"},
        "tls": {"mode": "AUTO_PASSTHROUGH"},
        "hosts": ["*.local"],
    }
    plain = {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    found = [
        _document("Gateway", "istio-system", {"selector": {"istio": "ingress"}, "servers": [plain]}),
        _document("Gateway", "istio-system", {"selector": {"istio": "eastwest"}, "servers": [passing]}),
        _document(
            "Sidecar",
            "confined",
            {"egress": [{"hosts": ["./*", f"{_NAMESPACE}/service-7.{_NAMESPACE}.svc.cluster.local"]}]},
        ),
        _service("10.98.0.1"),
    ]
    for number, each in enumerate(found):
        each["metadata"]["name"] = f"standing-{number}"
    return found


def changed(kind: str, number: int) -> dict[str, Any]:
    """A document of `kind`, another one for each number."""
    destination = {"destination": {"host": "service-7"}}
    route = {"match": [{"uri": {"prefix": f"/{number}"}}], "route": [destination]}
    subset = {"name": f"v{number}", "labels": {"version": f"v{number}"}}
    workload = {"address": "10.97.0.1", "labels": {"app": "service-7"}, "weight": number + 1}
    return {
        "Service": lambda: _service(f"10.98.1.{number + 1}"),
        "WorkloadEntry": lambda: _document("WorkloadEntry", _NAMESPACE, workload),
        "VirtualService": lambda: _document(
            "VirtualService", _NAMESPACE, {"hosts": ["new.example"], "http": [route]}
        ),
        "DestinationRule": lambda: _document(
            "DestinationRule", _NAMESPACE, {"host": "service-7", "subsets": [subset]}
        ),
    }[kind]()


KINDS = ("Service", "WorkloadEntry", "VirtualService", "DestinationRule")


class _Mesh:
    """A mesh of so many services, and what each proxy was given last."""

    def __init__(self, services: int) -> None:
        self._configuration = Configuration()
        contents = [*files(services), ("standing.yaml", text(standing()))]
        self._configuration.apply({name: parse_documents(content, name) for name, content in contents})
        self._translation = Translation(self._configuration.mesh)
        self._proxies = proxies()
        self._given: dict[str, Snapshot] = {
            name: self._translation.snapshot(proxy) for name, proxy in self._proxies.items()
        }

    def change(self, document: dict[str, Any] | None) -> dict[str, float]:
        """Put the document into the mesh (None: take it out); return milliseconds for each proxy, with those
        of the mesh."""
        began = time.thread_time()
        parsed: ParsedFile | None = None
        if document is not None:
            parsed = parse_documents(json.dumps(document).encode(), "changing.yaml")
        delta = self._configuration.apply({"changing.yaml": parsed})
        assert delta is not None
        self._translation.update(self._configuration.mesh)
        common = time.thread_time() - began
        spent = {}
        for name, proxy in self._proxies.items():
            began = time.thread_time()
            new, old = self._translation.snapshot(proxy), self._given[name]
            for type_url in PUSH_ORDER:
                new.collection(type_url).since(old.collection(type_url))
            self._given[name] = new
            spent[name] = (common + time.thread_time() - began) * 1000
        return spent


def measure(services: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield, for each kind of document added, changed and removed, the milliseconds for each class of proxy:
    the best of some rounds."""
    mesh = _Mesh(services)
    gc.collect()
    gc.freeze()
    try:
        for kind in KINDS:
            rounds = [
                [mesh.change(changed(kind, 2 * n)), mesh.change(changed(kind, 2 * n + 1)), mesh.change(None)]
                for n in range(_ROUNDS)
            ]
            for step, spent in zip(("added", "changed", "removed"), zip(*rounds, strict=True), strict=True):
                yield f"{kind} {step}", {name: min(each[name] for each in spent) for name in spent[0]}
    finally:
        gc.unfreeze()


def compare(sizes: tuple[int, ...] = SIZES) -> dict[str, dict[str, tuple[float, ...]]]:
    """Return, for each change and each class of proxy, the milliseconds in meshes of these sizes."""
    found = [dict(measure(services)) for services in sizes]
    return {
        change: {name: tuple(each[change][name] for each in found) for name in spent}
        for change, spent in found[0].items()
    }


if __name__ == "__main__":
    for _change, _spent in compare().items():
        print(_change, {name: [round(each, 1) for each in times] for name, times in _spent.items()})
