"""(k) What a change costs the mesh and the translation, by how many services and connected proxies there are.

The meshes are as users have them: ten namespaces, proxies that are endpoints of the services, a
VirtualService and a DestinationRule for each service. In others each proxy has a namespace of its own, to
which a Sidecar confines it (`apart`), or all share one (`together`).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import mizzen
from benchmarks.documents import NAMESPACES, NETWORKING, Documents, documents, text
from mizzen.config import ConfigStore, MeshConfig, parse_documents
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.contained import ContainedTranslation

SERVICES = (100, 10_000)
CONNECTED = 1_000
PROMISED = {"VirtualService": 1.5, "DestinationRule": 1.5, "endpoint": 1.5, "Service added or removed": 3}
"""How many times more a change may cost with the more services than with the fewer."""
_CHANGED = 7
_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Followed:
    """Milliseconds of processor time from parsed documents to the last proxy's snapshot, the best of some
    rounds, and how many proxies were asked for."""

    milliseconds: float
    asked: int


Place = Callable[[Documents], Documents]
"""Puts the documents of a service into a namespace."""


def spread(found: Documents) -> Documents:
    """Leave them in one of the ten namespaces."""
    return found


def apart(found: Documents) -> Documents:
    """Put them into a namespace of the service's own."""
    return _moved(found, f"of-{found[0]['metadata']['name']}")


def together(found: Documents) -> Documents:
    """Put all services into one namespace."""
    return _moved(found, "one")


def _moved(found: Documents, namespace: str) -> Documents:
    return [{**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in found]


CONFINED: Documents = [
    {
        "apiVersion": NETWORKING,
        "kind": "Sidecar",
        "metadata": {"name": "default", "namespace": "istio-system"},
        "spec": {"egress": [{"hosts": ["./*"]}]},
    }
]


def with_rules(number: int, *, canary: int = 0, connections: int = 100, weight: int = 1) -> Documents:
    """The documents of service `number`, with a VirtualService and a DestinationRule."""
    found = documents(number)
    metadata = found[0]["metadata"]
    found[1]["spec"]["weight"] = weight
    found[2]["spec"]["http"][0]["match"][0]["uri"]["prefix"] = f"/canary-{canary}"
    policy = {"connectionPool": {"tcp": {"maxConnections": connections}}}
    rule = {"host": metadata["name"], "trafficPolicy": policy}
    return [
        *found,
        {"apiVersion": NETWORKING, "kind": "DestinationRule", "metadata": metadata, "spec": rule},
    ]


def sidecar(number: int, place: Place = spread) -> mizzen.Proxy:
    """The sidecar of the workload of service `number`."""
    service, workload = place(documents(number))[:2]
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    address = workload["spec"]["address"]
    return mizzen.Proxy.from_node(
        {
            "id": f"sidecar~{address}~{name}.{namespace}~{namespace}.svc.cluster.local",
            "metadata": {"NAMESPACE": namespace, "LABELS": {"app": name}},
        }
    )


class _Connected:
    """A mesh of so many services, and so many proxies that were given what they are to have. With
    `certificates` they speak mutual TLS with each other. Not in ten namespaces, a Sidecar confines them."""

    def __init__(
        self, services: int, proxies: int, *, certificates: bool = False, place: Place = spread
    ) -> None:
        self._place = place
        names = {f"{number}.yaml": place(with_rules(number)) for number in range(services)}
        for documents_of_service in names.values():
            documents_of_service[1]["spec"]["serviceAccount"] = "default"
        if place is not spread:
            names["confined.yaml"] = CONFINED
        self._store = ConfigStore()
        self._store.apply({name: parse_documents(text(each), name) for name, each in names.items()})
        self._mesh = Mesh.build(self._store.configs(), MeshConfig(), certificates_served=certificates)
        self._translation = ContainedTranslation(self._mesh)
        for number in range(proxies):
            self._translation.translate(sidecar(number, place))
        list(self._translation.concerned())

    def change(self, name: str, content: Documents | None) -> Followed:
        parsed = None if content is None else parse_documents(text(self._place(content)), name)
        change = self._store.apply({name: parsed})
        began = time.thread_time()
        self._mesh, delta = self._mesh.updated(change)
        self._translation.update(self._mesh, delta)
        asked = 0
        for proxy in self._translation.concerned():
            self._translation.translate(proxy)
            asked += 1
        return Followed((time.thread_time() - began) * 1000, asked)


def _mode(number: int) -> Documents:
    return _policy("PeerAuthentication", {"mtls": {"mode": ("STRICT", "DISABLE")[number % 2]}})


def _denied(number: int) -> Documents:
    rules = [{"to": [{"operation": {"paths": [f"/private-{number}"]}}]}]
    return _policy("AuthorizationPolicy", {"action": "DENY", "rules": rules})


def _policy(kind: str, spec: dict[str, Any]) -> Documents:
    """A policy of one workload."""
    metadata = {"name": f"service-{_CHANGED}", "namespace": f"namespace-{_CHANGED % NAMESPACES}"}
    selector = {"matchLabels": {"app": f"service-{_CHANGED}"}}
    return [
        {
            "apiVersion": "security.istio.io/v1",
            "kind": kind,
            "metadata": metadata,
            "spec": {"selector": selector, **spec},
        }
    ]


_FILE = f"{_CHANGED}.yaml"
KINDS: dict[str, Callable[[int], tuple[str, Documents | None]]] = {
    "VirtualService": lambda n: (_FILE, with_rules(_CHANGED, canary=n + 1)),
    "DestinationRule": lambda n: (_FILE, with_rules(_CHANGED, canary=_ROUNDS, connections=n + 1)),
    "endpoint": lambda n: (
        _FILE,
        with_rules(_CHANGED, canary=_ROUNDS, connections=_ROUNDS, weight=n + 2),
    ),
    "Service added or removed": lambda n: ("new.yaml", with_rules(50_007)[:1] if n % 2 == 0 else None),
    "PeerAuthentication of one workload": lambda n: ("mode.yaml", _mode(n)),
    "AuthorizationPolicy of one workload": lambda n: ("denied.yaml", _denied(n)),
}
SECURITY = ("PeerAuthentication of one workload", "AuthorizationPolicy of one workload")
SECURED_SERVICES = (100, 1_000)
SECURED_PROXIES = 100
APART_PROXIES = (10, 100, 1_000)
TOGETHER_PROXIES = (100, 1_000)
APART = ("VirtualService", "endpoint", "AuthorizationPolicy of one workload")
TOGETHER = ("AuthorizationPolicy of one workload",)
PROMISED_GROWTH = 2
"""So much more a policy of one workload may cost with ten times the services."""


def measure(
    services: int,
    proxies: int,
    kinds: Iterable[str] = KINDS,
    *,
    certificates: bool = False,
    place: Place = spread,
) -> dict[str, Followed]:
    """Return what each kind of change costs; the first of each is not counted."""
    connected = _Connected(services, proxies, certificates=certificates, place=place)
    gc.collect()
    gc.freeze()
    try:
        found = {}
        for kind in kinds:
            rounds = [connected.change(*KINDS[kind](number)) for number in range(_ROUNDS)]
            found[kind] = min(rounds[1:], key=lambda each: each.milliseconds)
        return found
    finally:
        gc.unfreeze()
