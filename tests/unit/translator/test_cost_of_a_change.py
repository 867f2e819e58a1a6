"""A change costs what it touches, whatever the size of the mesh."""

from __future__ import annotations

from collections.abc import Callable
from cProfile import Profile
from pstats import Stats
from typing import Any

import pytest
import yaml

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation

pytestmark = pytest.mark.counting

FEW, MANY = 100, 500
PER_PORT = 50

NETWORKING = "networking.istio.io/v1"


def service(number: int, prefix: str = "/a", connections: int = 1, weight: int = 1) -> list[Any]:
    name, port = f"s{number}", 8000 + number // PER_PORT
    metadata = {"name": name, "namespace": f"n{number % 5}"}
    route = [{"destination": {"host": name}}]
    rules = [{"match": [{"uri": {"prefix": prefix}}], "route": route}, {"route": route}]
    spec: dict[str, Any] = {
        "Service": {
            "selector": {"app": name},
            "clusterIP": f"10.{100 + number // 250}.2.{number % 250 + 1}",
            "ports": [{"name": "http", "port": port}],
        },
        "WorkloadEntry": {
            "address": f"10.{number // 250}.1.{number % 250 + 1}",
            "labels": {"app": name},
            "weight": weight,
        },
        "VirtualService": {"hosts": [name], "gateways": ["mesh", "n0/edge"], "http": rules},
        "DestinationRule": {
            "host": name,
            "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": connections}}},
        },
    }
    return [
        {
            "apiVersion": "v1" if kind == "Service" else NETWORKING,
            "kind": kind,
            "metadata": metadata,
            "spec": content,
        }
        for kind, content in spec.items()
    ]


GATEWAY = {
    "apiVersion": NETWORKING,
    "kind": "Gateway",
    "metadata": {"name": "edge", "namespace": "n0"},
    "spec": {
        "selector": {"app": "edge"},
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
    },
}
PROXIES = {
    "sidecar": {"id": "sidecar~10.0.1.4~s3.n3~n3.svc.cluster.local", "metadata": {"NAMESPACE": "n3"}},
    "gateway": {
        "id": "router~10.9.1.4~edge.n3~n3.svc.cluster.local",
        "metadata": {"NAMESPACE": "n3", "LABELS": {"app": "edge"}},
    },
}

CHANGES: dict[str, Callable[[int], tuple[str, list[Any] | None]]] = {
    "VirtualService": lambda n: ("7", service(7, prefix=f"/{n}")),
    "DestinationRule": lambda n: ("7", service(7, connections=n + 2)),
    "endpoint": lambda n: ("7", service(7, weight=n + 2)),
    "Service added or removed": lambda n: ("new", service(3_007)[:1] if n % 2 == 0 else None),
}


class Living:
    def __init__(self, services: int) -> None:
        self.store = ConfigStore()
        self._apply({"edge": [GATEWAY], **{str(number): service(number) for number in range(services)}})
        self.mesh = Mesh.build(self.store.configs())
        self.translation = Translation(self.mesh)

    def _apply(self, files: dict[str, list[Any] | None]) -> Any:
        return self.store.apply(
            {
                name: None if found is None else parse_documents(yaml.safe_dump_all(found).encode(), name)
                for name, found in files.items()
            }
        )

    def calls(self, proxy: mizzen.Proxy, kind: str) -> int:
        """How many functions following a change calls, once it is the third of its kind."""
        self.translation.snapshot(proxy)
        profile = Profile()
        for number in range(4):
            change = self._apply(dict([CHANGES[kind](number)]))
            if number >= 2:
                profile.enable()
            self.mesh, _ = self.mesh.updated(change)
            self.translation.update(self.mesh)
            self.translation.snapshot(proxy)
            profile.disable()
        return Stats(profile).total_calls  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(scope="module")
def meshes() -> tuple[Living, Living]:
    return Living(FEW), Living(MANY)


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_calls_as_many_functions_in_a_mesh_of_any_size(
    meshes: tuple[Living, Living], kind: str, proxy: str
) -> None:
    few, many = (living.calls(mizzen.Proxy.from_node(PROXIES[proxy]), kind) for living in meshes)
    assert many < 1.25 * few, f"{few} with {FEW} services, {many} with {MANY}"
