"""A change that concerns one of many connected proxies costs that one. For the others nothing outdated stays
in memory."""

from __future__ import annotations

import gc
import weakref
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

FEW, MANY = 8, 64
ONE = 5

NETWORKING = "networking.istio.io/v1"


def document(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    group = {"Service": "v1", "AuthorizationPolicy": "security.istio.io/v1"}.get(kind, NETWORKING)
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec}


def service(number: int, namespace: str, prefix: str = "/a", weight: int = 1) -> list[Any]:
    name = f"s{number}"
    ports, labels = [{"name": "http", "port": 80}], {"app": name}
    route = {"match": [{"uri": {"prefix": prefix}}], "route": [{"destination": {"host": name}}]}
    workload = {"address": f"10.0.1.{number + 1}", "labels": labels, "weight": weight}
    return [
        document("Service", name, namespace, {"selector": labels, "ports": ports}),
        document("WorkloadEntry", name, namespace, workload),
        document("VirtualService", name, namespace, {"hosts": [name], "http": [route]}),
    ]


def selecting(kind: str, **spec: Any) -> Callable[[int, str], tuple[str, list[Any]]]:
    """A document for the workload ONE alone, that comes and goes."""
    return lambda number, namespace: (
        kind,
        [document(kind, "one", namespace, spec)] if number % 2 == 0 else [],
    )


LABELS = {"app": f"s{ONE}"}
CHANGES: dict[str, Callable[[int, str], tuple[str, list[Any]]]] = {
    "VirtualService": lambda n, of: (str(ONE), service(ONE, of, prefix=f"/{n}")),
    "endpoint": lambda n, of: (str(ONE), service(ONE, of, weight=n + 2)),
    "DestinationRule": lambda n, of: (
        "rule",
        [
            document(
                "DestinationRule",
                "one",
                of,
                {
                    "host": f"s{ONE}",
                    "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": n + 1}}},
                },
            )
        ],
    ),
    "Service": lambda n, of: ("new", service(200, of)[:1] if n % 2 == 0 else []),
    "policy": selecting("AuthorizationPolicy", selector={"matchLabels": LABELS}),
}
OF_ONE = {
    "AuthorizationPolicy": CHANGES["policy"],
    "Sidecar": selecting(
        "Sidecar", workloadSelector={"labels": LABELS}, outboundTrafficPolicy={"mode": "REGISTRY_ONLY"}
    ),
    "DestinationRule": selecting(
        "DestinationRule",
        host="s1",
        workloadSelector={"matchLabels": LABELS},
        trafficPolicy={"loadBalancer": {"simple": "RANDOM"}},
    ),
}


class Connected:
    """So many connected proxies, each the workload of a service in the namespace that `place` gives. They see
    their own namespace alone."""

    def __init__(self, proxies: int, place: Callable[[int], str]) -> None:
        self.store = ConfigStore()
        own = document("Sidecar", "default", "istio-system", {"egress": [{"hosts": ["./*"]}]})
        services = {str(number): service(number, place(number)) for number in range(proxies)}
        self._apply({"sidecar": [own], **services})
        self.mesh = Mesh.build(self.store.configs())
        self.translation = Translation(self.mesh)
        self.place = place(ONE)
        for number in range(proxies):
            namespace = place(number)
            node = {
                "id": f"sidecar~10.0.1.{number + 1}~s{number}.{namespace}~{namespace}.svc.cluster.local",
                "metadata": {"NAMESPACE": namespace, "LABELS": {"app": f"s{number}"}},
            }
            self.translation.snapshot(mizzen.Proxy.from_node(node))
        assert not list(self.translation.concerned())

    def _apply(self, files: dict[str, list[Any]]) -> Any:
        return self.store.apply(
            {
                name: parse_documents(yaml.safe_dump_all(found).encode(), name) if found else None
                for name, found in files.items()
            }
        )

    def follow(self, name: str, content: list[Any]) -> list[mizzen.Proxy]:
        """Apply a change; return the proxies that were asked for."""
        change = self._apply({name: content})
        self.mesh, _ = self.mesh.updated(change)
        self.translation.update(self.mesh)
        asked = []
        for proxy in self.translation.concerned():
            self.translation.snapshot(proxy)
            asked.append(proxy)
        return asked

    def calls(self, kind: str) -> int:
        """How many functions following a change calls, once it is the third of its kind."""
        profile = Profile()
        for number in range(4):
            name, content = CHANGES[kind](number, self.place)
            change = self._apply({name: content})
            if number >= 2:
                profile.enable()
            self.mesh, _ = self.mesh.updated(change)
            self.translation.update(self.mesh)
            asked = 0
            for proxy in self.translation.concerned():
                self.translation.snapshot(proxy)
                asked += 1
            profile.disable()
            assert asked == 1
        return Stats(profile).total_calls  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(scope="module")
def of_many_namespaces() -> tuple[Connected, Connected]:
    """Meshes in which each proxy has a namespace, and so a class, of its own."""
    return Connected(FEW, "n{}".format), Connected(MANY, "n{}".format)


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_in_one_namespace_calls_no_function_for_each_other_one(
    of_many_namespaces: tuple[Connected, Connected], kind: str
) -> None:
    few, many = (connected.calls(kind) for connected in of_many_namespaces)
    assert many - few < 4 * (MANY - FEW), f"{few} with {FEW} namespaces, {many} with {MANY}"


def test_a_policy_of_one_calls_no_function_for_each_other_proxy_of_its_namespace() -> None:
    few, many = (Connected(proxies, lambda _: "one").calls("policy") for proxies in (FEW, MANY))
    assert many < few + 16, f"{few} with {FEW} proxies, {many} with {MANY}"


@pytest.mark.parametrize("kind", OF_ONE)
def test_the_first_document_for_one_workload_asks_for_that_one(kind: str) -> None:
    connected = Connected(FEW, lambda _: "one")
    for number in range(4):
        asked = connected.follow(*OF_ONE[kind](number, "one"))
        assert [proxy.labels for proxy in asked] == [LABELS]


def test_a_rule_that_looks_at_one_workloads_labels_asks_all_that_it_serves() -> None:
    """The one is translated first, and brings what it shares with all others up to date."""
    connected = Connected(FEW, lambda _: "one")
    route = [{"destination": {"host": "s1"}}]
    http = [{"match": [{"sourceLabels": LABELS}], "timeout": "1s", "route": route}, {"route": route}]
    spec = {"hosts": ["new.example"], "http": http}
    asked = connected.follow("rule", [document("VirtualService", "rule", "one", spec)])
    assert len(asked) >= FEW
    assert len({proxy.labels["app"] for proxy in asked}) == FEW


def test_classes_that_no_change_concerns_keep_no_outdated_mesh_in_memory() -> None:
    connected = Connected(FEW, "n{}".format)
    meshes = []
    for number in range(60):
        # Each in turn, so that each has another mesh when its turn is over.
        connected.follow(str(number % FEW), service(number % FEW, f"n{number % FEW}", prefix=f"/{number}"))
        meshes.append(weakref.ref(connected.mesh))
    for number in range(16):
        connected.follow("0", service(0, "n0", prefix=f"/last-{number}"))
    gc.collect()
    assert not any(mesh() is not None for mesh in meshes)
