"""Proxies whose labels some rule mentions: they are sent what they would be sent alone, and share what no
rule with their labels has a hand in."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from envoy.config.endpoint.v3 import endpoint_pb2

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.on_demand import TranslationOnDemand
from mizzen.translator.shared.outbound import OutboundResources
from mizzen.translator.shared.outbound_builder import OutboundBuilder
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls

NETWORKING = "networking.istio.io/v1"


def document(kind: str, name: str, spec: Any) -> Any:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": NETWORKING, "kind": kind, "metadata": metadata, "spec": spec}


def entry(name: str, port: int, protocol: str = "HTTP", **more: Any) -> Any:
    ports = [{"number": port, "name": "p", "protocol": protocol}]
    endpoints = [{"address": f"10.0.{port % 250}.1"}]
    spec = {"hosts": [f"{name}.example"], "ports": ports, "resolution": "STATIC", "endpoints": endpoints}
    return document("ServiceEntry", name, spec | more)


def labelled(name: str, host: str, app: str, protocol: str = "http") -> Any:
    match = {"sourceLabels": {"app": app}, **({"port": 3306} if protocol == "tcp" else {})}
    route = [{"destination": {"host": "other.example"}}]
    spec = {"hosts": [host], protocol: [{"match": [match], "route": route}]}
    return document("VirtualService", name, spec)


def policy(name: str, host: str, app: str, **traffic: Any) -> Any:
    selector = {"matchLabels": {"app": app}}
    return document(
        "DestinationRule", name, {"host": host, "workloadSelector": selector, "trafficPolicy": traffic}
    )


STANDING = [
    entry("web", 8080),
    entry("api", 8081),
    entry("other", 8082),
    entry("db", 3306, "TCP", addresses=["10.9.9.9"]),
    labelled("of-a", "web.example", "a"),
    labelled("of-b", "db.example", "b", "tcp"),
    policy("of-c", "api.example", "c", loadBalancer={"consistentHash": {"httpHeaderName": "x-c"}}),
    policy("of-d", "*.example", "d", connectionPool={"tcp": {"maxConnections": 7}}),
    document(
        "Sidecar", "of-e", {"workloadSelector": {"labels": {"app": "e"}}, "egress": [{"hosts": ["./*"]}]}
    ),
]
APPS = ("a", "b", "c", "d", "e", "f")


def proxy(app: str) -> mizzen.Proxy:
    node_id = f"sidecar~10.8.0.{ord(app)}~{app}.shop~shop.svc.cluster.local"
    return mizzen.Proxy.from_node({"id": node_id, "metadata": {"NAMESPACE": "shop", "LABELS": {"app": app}}})


class Living:
    def __init__(self, *documents: Any) -> None:
        self.store = ConfigStore()
        self.files: set[str] = set()
        self.store.apply(self._parsed(documents))
        self.mesh = Mesh.build(self.store.configs())
        self.translation = Translation(self.mesh)

    def _parsed(self, documents: tuple[Any, ...]) -> dict[str, Any]:
        texts = {f"{one['metadata']['name']}.yaml": yaml.safe_dump(one).encode() for one in documents}
        gone, self.files = self.files - texts.keys(), set(texts)
        return {**dict.fromkeys(gone), **{name: parse_documents(text, name) for name, text in texts.items()}}

    def change(self, *documents: Any) -> None:
        self.mesh, _ = self.mesh.updated(self.store.apply(self._parsed(documents)))
        self.translation.update(self.mesh)

    def compare(self) -> None:
        for app in APPS:
            made = self.translation.resources(proxy(app))
            alone = Translation(Mesh.build(self.store.configs())).resources(proxy(app))
            assert made.diagnostics == alone.diagnostics
            for type_url, members in alone.items():
                found = made[type_url]
                assert {name: found[name].value for name in found} == {
                    name: each.value for name, each in members.items()
                }, (app, type_url)
                assert [found[name].origins for name in members] == [x.origins for x in members.values()]


def test_each_is_sent_what_it_would_be_sent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    build = OutboundResources.build

    def recorded(self: OutboundResources) -> Any:
        built.append(str(self.profile.labels))
        return build(self)

    living = Living(*STANDING)
    with monkeypatch.context() as patched:
        patched.setattr(OutboundResources, "build", recorded)
        for app in APPS:
            living.translation.snapshot(proxy(app))
    own = ["(('app', 'd'),)", "(('app', 'e'),)"]
    assert built == ["()", *own], "what all share; and who has a rule for all hosts, a Sidecar of its own"
    living.compare()


def test_changes_are_followed_by_each() -> None:
    living = Living(*STANDING)
    living.compare()
    for left_out in range(len(STANDING)):
        living.change(*STANDING[:left_out], *STANDING[left_out + 1 :])
        living.compare()
    living.change(*STANDING, labelled("of-f", "api.example", "f"))
    living.compare()
    living.change(*STANDING, labelled("of-f", "api.example", "a"))
    living.compare()


def test_a_change_that_meets_no_labels_is_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    living = Living(*STANDING)
    living.compare()
    built: list[tuple[str, str]] = []
    build = OutboundBuilder.route_configuration

    def recorded(self: OutboundBuilder, name: str, *rest: Any) -> Any:
        built.append((name, str(self.profile.labels)))
        return build(self, name, *rest)

    monkeypatch.setattr(OutboundBuilder, "route_configuration", recorded)
    plain = {"hosts": ["other.example"], "http": [{"route": [{"destination": {"host": "other.example"}}]}]}
    living.change(*STANDING, document("VirtualService", "plain", plain))
    for app in "abcf":
        living.translation.snapshot(proxy(app))
    assert [labels for name, labels in built if name == "8082"] == ["()"]
    living.compare()


def test_what_comes_out_the_same_is_shared() -> None:
    living = Living(*STANDING)
    snapshots = {app: living.translation.snapshot(proxy(app)) for app in APPS}
    routes = {app: snapshots[app].collection(type_urls.ROUTE).resources for app in APPS}
    assert routes["a"]["8080"] is not routes["f"]["8080"]
    assert routes["c"]["8081"] is not routes["f"]["8081"]
    assert routes["b"]["8080"] is routes["c"]["8080"] is routes["f"]["8080"]
    assert routes["a"]["8082"] is routes["b"]["8082"] is routes["c"]["8082"] is routes["f"]["8082"]
    clusters = {app: snapshots[app].collection(type_urls.CLUSTER).resources for app in APPS}
    assert clusters["d"]["outbound|8080||web.example"] is not clusters["f"]["outbound|8080||web.example"]
    assert clusters["a"]["outbound|8080||web.example"] is clusters["f"]["outbound|8080||web.example"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"app": "a"}, {"10.0.90.1": 1, "10.0.90.2": 0}),
        ({"app": "nobody-mentions-this"}, {"10.0.90.1": 1, "10.0.90.2": 0}),
        ({"version": "v1"}, {"10.0.90.1": 0, "10.0.90.2": 1}),
        ({}, {"10.0.90.1": 0, "10.0.90.2": 0}),
    ],
)
def test_a_label_that_a_client_lacks_is_compared_if_it_has_any(
    labels: dict[str, str], expected: dict[str, int]
) -> None:
    """As Istio does (loadbalancer.applyFailoverPriorities), in what is sent and in what an answer makes."""
    endpoints = [{"address": "10.0.90.1", "labels": {"version": "v1"}}, {"address": "10.0.90.2"}]
    settings = {"localityLbSetting": {"failoverPriority": ["version"]}}
    rule = {"host": "web.example", "trafficPolicy": {"loadBalancer": settings, "outlierDetection": {}}}
    living = Living(
        entry("web", 8080, endpoints=endpoints),
        entry("other", 8082),
        labelled("of-a", "web.example", "a"),
        document("DestinationRule", "near", rule),
    )
    metadata = {"NAMESPACE": "shop", "LABELS": labels}
    client = mizzen.Proxy.from_node(
        {"id": "sidecar~10.8.0.1~x.shop~shop.svc.cluster.local", "metadata": metadata}
    )
    name = "outbound|8080||web.example"
    for sender in (living.translation, TranslationOnDemand(Translation(living.mesh))):
        found = sender.resource(client, type_urls.ENDPOINT, name)
        assert found is not None
        message = endpoint_pb2.ClusterLoadAssignment.FromString(found.value)
        assert {
            each.endpoint.address.socket_address.address: group.priority
            for group in message.endpoints
            for each in group.lb_endpoints
        } == expected


def test_a_rule_that_mentions_a_label_comes_to_choose_by_it() -> None:
    priority = {"localityLbSetting": {"failoverPriority": ["app"]}}
    living = Living(*STANDING, policy("of-x", "web.example", "x", loadBalancer=priority))
    living.compare()
    living.change(
        *STANDING, policy("of-x", "web.example", "f", connectionPool={"tcp": {"maxConnections": 3}})
    )
    living.compare()


def test_a_layer_goes_when_a_sidecar_comes_for_its_proxies() -> None:
    """In one update with a host of a labelled rule: the layer is no longer right for any proxy."""
    far = entry("far", 8090)
    far["metadata"]["namespace"] = "elsewhere"
    rule = labelled("of-near", "near.example", "a")
    sidecar = {"workloadSelector": {"labels": {"app": "a"}}, "egress": [{"hosts": ["./*"]}]}
    living = Living(far, rule)
    living.compare()
    living.change(far, rule, entry("near", 8090), document("Sidecar", "for-a", sidecar))
    assert list(living.translation.concerned())
    living.compare()


def test_a_change_may_give_a_domain_to_a_host_that_only_some_have() -> None:
    """Two services have one address. The one that a VirtualService owns gets it; proxies with a label have a
    VirtualService for the second too, but the first one's goes first."""
    services = [entry(name, 8080, addresses=["10.9.9.9"]) for name in ("first", "second")]
    of_label = labelled("of-label", "second.example", "a")
    route = [{"route": [{"destination": {"host": "first.example"}}]}]
    owner = document("VirtualService", "first", {"hosts": ["first.example"], "http": route})
    living = Living(*services, entry("other", 8082), of_label, owner)
    living.compare()
    living.change(*services, entry("other", 8082), of_label)
    living.compare()
    living.change(*services, entry("other", 8082), of_label, owner)
    living.compare()


def test_a_rule_that_leads_to_a_host_chosen_by_labels_may_come_to_a_port() -> None:
    """A service comes under the wildcard of a VirtualService. The destination of that has a DestinationRule
    for some proxies."""
    chosen = policy("of-c", "web.example", "c", loadBalancer={"consistentHash": {"httpHeaderName": "x-c"}})
    route = [{"route": [{"destination": {"host": "web.example"}}]}]
    wide = document("VirtualService", "wide", {"hosts": ["*.example"], "http": route})
    living = Living(entry("web", 8080), chosen, wide)
    living.compare()
    living.change(entry("web", 8080), chosen, wide, entry("new", 8081))
    living.compare()


def test_a_domain_may_fall_to_a_host_under_a_wildcard_that_looks_at_labels() -> None:
    """Two services have one address. All proxies have the same virtual host for the second one, and only its
    routes differ by labels: a VirtualService has a wildcard over it."""
    first, second = (entry(name, 8081, addresses=["10.9.9.9"]) for name in ("first", "second.deep"))
    default = {"route": [{"destination": {"host": "other.example"}}]}
    owner = document("VirtualService", "above", {"hosts": ["*.example"], "http": [default]})
    deep = labelled("below", "*.deep.example", "a")
    deep["spec"]["http"].append({**default, "timeout": "1s"})
    living = Living(first, owner)
    living.change(first, second, owner, deep)
    living.compare()
    living.change(second, owner, deep)
    living.compare()
