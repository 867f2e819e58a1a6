"""A change reaches those for whom it matters, also where no entry of their Sidecar names what changed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation

NETWORKING = "networking.istio.io/v1"


def document(kind: str, name: str, namespace: str = "far", **spec: Any) -> dict[str, Any]:
    group = "v1" if kind == "Service" else NETWORKING
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec}


def service(name: str, *, port: int = 80, protocol: str = "http") -> dict[str, Any]:
    ports = [{"name": protocol, "port": port}]
    return document("Service", name, selector={"app": name}, ports=ports)


def workload(weight: int) -> dict[str, Any]:
    return document("WorkloadEntry", "w", address="10.0.0.9", labels={"app": "back"}, weight=weight)


def rule(host: str, to: str, namespace: str = "near", **more: Any) -> dict[str, Any]:
    route = [{"route": [{"destination": {"host": to}}]}]
    return document("VirtualService", "rule", namespace, hosts=[host], http=route, **more)


def destination_rule(host: str, namespace: str = "far", *, number: int = 1, **more: Any) -> dict[str, Any]:
    policy = {"loadBalancer": {"consistentHash": {"httpHeaderName": f"h{number}"}}}
    return document("DestinationRule", "policy", namespace, host=host, trafficPolicy=policy, **more)


BACK = "back.far.svc.cluster.local"
STANDING = [
    document("Sidecar", "own", "near", egress=[{"hosts": ["./*"]}]),
    service("back"),
    service("hidden"),
    {**service("front"), "metadata": {"name": "front", "namespace": "near"}},
]
ALIAS = document("Service", "alias", "near", type="ExternalName", externalName=BACK)
ROUTED = rule("front", BACK)

CASES: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    # what stands, a file before, and after
    "endpoints of a service that a rule routes to": ([ROUTED], [workload(1)], [workload(2)]),
    "a service that a rule routes to comes": (
        [rule("front", "new.far.svc.cluster.local")],
        [],
        [service("new")],
    ),
    "ports of a service that a rule routes to": (
        [rule("front", "new.far.svc.cluster.local")],
        [service("new")],
        [service("new", port=81, protocol="tcp")],
    ),
    "a DestinationRule for a service that a rule routes to": (
        [ROUTED],
        [destination_rule("back")],
        [destination_rule("back", number=2)],
    ),
    "a wildcard DestinationRule over it": (
        [ROUTED],
        [],
        [destination_rule("*.far.svc.cluster.local")],
    ),
    "a DestinationRule of the clients for a host of another namespace": (
        [ROUTED],
        [],
        [destination_rule(BACK, "near", exportTo=["."])],
    ),
    "a DestinationRule of the root namespace": ([ROUTED], [], [destination_rule(BACK, "istio-system")]),
    "a DestinationRule that hides a wider one": (
        [ROUTED, destination_rule("*.far.svc.cluster.local")],
        [],
        [{**destination_rule("back", exportTo=["shop"]), "metadata": {"name": "x", "namespace": "far"}}],
    ),
    "the target of an alias that a rule routes to": (
        [ALIAS, rule("front", "alias")],
        [workload(1)],
        [workload(2)],
    ),
    "the DestinationRule of the target of an alias": (
        [ALIAS, rule("front", "alias")],
        [],
        [destination_rule("back")],
    ),
    "an alias that a rule routes to": ([rule("front", "alias")], [], [ALIAS]),
    "a rule for an imported host": ([], [ROUTED], [rule("front", "hidden.far.svc.cluster.local")]),
    "a rule that is no longer exported": (
        [],
        [rule("front", BACK, exportTo=["near"])],
        [rule("front", BACK, exportTo=["far"])],
    ),
    "a Sidecar that imports more": (
        [],
        [],
        [
            document(
                "Sidecar", "a", "near", workloadSelector={"labels": {"app": "w"}}, egress=[{"hosts": ["*/*"]}]
            )
        ],
    ),
    "a Sidecar that all workloads of the namespace get": (
        [],
        [],
        [document("Sidecar", "first", "near", egress=[{"hosts": ["*/*"]}])],
    ),
    "the egress proxy": (
        [
            document(
                "Sidecar",
                "a",
                "near",
                workloadSelector={"labels": {"app": "w"}},
                egress=[{"hosts": ["./*"]}],
                outboundTrafficPolicy={
                    "mode": "ALLOW_ANY",
                    "egressProxy": {"host": "alias.far.svc.cluster.local", "port": {"number": 80}},
                },
            )
        ],
        [],
        [{**ALIAS, "metadata": {"name": "alias", "namespace": "far"}}],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_reaches_those_for_whom_it_matters(case: str) -> None:
    standing, before, after = CASES[case]
    store, file = ConfigStore(), "changing.yaml"

    def apply(name: str, found: list[Any]) -> Any:
        parsed = parse_documents(yaml.safe_dump_all(found).encode(), name)
        assert not parsed.diagnostics
        return store.apply({name: parsed if found else None})

    node = {
        "id": "sidecar~10.0.0.1~w.near~near.svc.cluster.local",
        "metadata": {"NAMESPACE": "near", "LABELS": {"app": "w"}},
    }
    proxy = mizzen.Proxy.from_node(node)
    apply("standing.yaml", [*STANDING, *standing])
    apply(file, before)
    mesh = Mesh.build(store.configs())
    translation = Translation(mesh)
    sent = [translation.snapshot(proxy)]
    assert not list(translation.concerned())
    for content in (after, before, after):
        mesh, _ = mesh.updated(apply(file, content))
        translation.update(mesh)
        sent.append(translation.snapshot(proxy) if list(translation.concerned()) else sent[-1])
        expected = Translation(Mesh.build(store.configs())).snapshot(proxy)
        assert versions(sent[-1]) == versions(expected)
    assert versions(sent[0]) != versions(sent[1])


def versions(snapshot: Any) -> Any:
    return {(each.type_url, each.name): each.version for each in snapshot}
