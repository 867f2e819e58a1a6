"""What changes cost where rules look at labels: what the rules decide about, not all classes of proxies."""

from __future__ import annotations

from cProfile import Profile
from pstats import Stats
from typing import Any

import pytest
import yaml

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.clusters import service_resources
from mizzen.translator.endpoints.assignments import ServiceAssignments
from mizzen.translator.endpoints.service_destinations import ServiceDestinations
from mizzen.translator.endpoints.viewpoint import SeenEndpoints
from mizzen.translator.routes.port_routes import Routing
from mizzen.translator.shared.label_layer import LabelLayer
from mizzen.translator.shared.outbound_builder import ListenersByPort
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from tests.unit.translator.shared.test_label_profiles import document, entry

pytestmark = pytest.mark.counting

KINDS = 12


def proxy(number: int) -> mizzen.Proxy:
    metadata = {"NAMESPACE": "shop", "LABELS": {"app": f"a{number}", "tier": "x"}}
    node_id = f"sidecar~10.8.0.{number + 1}~a{number}.shop~shop.svc.cluster.local"
    return mizzen.Proxy.from_node({"id": node_id, "metadata": metadata})


def looking(name: str, host: str, apps: range, *, timeout: str = "1s") -> Any:
    """A VirtualService that leads calls of each of these workloads elsewhere."""
    http = [
        {
            "match": [{"sourceLabels": {"app": f"a{number}"}}],
            "route": [{"destination": {"host": f"to-{number}.example"}}],
            "timeout": timeout,
        }
        for number in apps
    ]
    return document("VirtualService", name, {"hosts": [host], "http": http})


class Living:
    """A mesh whose translation follows changes for proxies with twelve different labels."""

    def __init__(self, *documents: Any) -> None:
        self.store = ConfigStore()
        self.store.apply({each["metadata"]["name"]: self._parsed(each) for each in documents})
        self.mesh = Mesh.build(self.store.configs())
        self.translation = Translation(self.mesh)
        self.proxies = [proxy(number) for number in range(KINDS)]
        for each in self.proxies:
            self.translation.snapshot(each)
        list(self.translation.concerned())

    def _parsed(self, content: Any) -> Any:
        return parse_documents(yaml.safe_dump(content).encode(), content["metadata"]["name"])

    def change(self, content: Any) -> None:
        change = self.store.apply({content["metadata"]["name"]: self._parsed(content)})
        self.mesh, _ = self.mesh.updated(change)
        self.translation.update(self.mesh)
        for each in self.translation.concerned():
            self.translation.snapshot(each)

    def compare(self) -> None:
        alone = Translation(Mesh.build(self.store.configs()))
        for each in self.proxies:
            found, wanted = self.translation.snapshot(each), alone.snapshot(each)
            for type_url in (type_urls.LISTENER, type_urls.ROUTE, type_urls.CLUSTER):
                assert found.collection(type_url).version == wanted.collection(type_url).version


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often what is costly was asked for."""
    counts = dict.fromkeys(("update", "_build", "build", "changed_port", "destination_rule"), 0)

    def counted(owner: Any, name: str) -> None:
        before = getattr(owner, name)

        def count(*arguments: Any) -> Any:
            counts[name] += 1
            return before(*arguments)

        monkeypatch.setattr(owner, name, count)

    for owner, name in (
        (LabelLayer, "update"),
        (LabelLayer, "_build"),
        (ListenersByPort, "build"),
        (Routing, "changed_port"),
        (SidecarScope, "destination_rule"),
    ):
        counted(owner, name)
    return counts


def clear(counts: dict[str, int]) -> None:
    for name in counts:
        counts[name] = 0


def test_a_change_asks_only_the_kinds_that_it_concerns(asked: dict[str, int]) -> None:
    """Each kind has a rule on one of three ports."""
    services = [entry(f"s{number}", 8080 + number % 3) for number in range(KINDS)]
    rules = [
        looking(f"r{number}", f"s{number}.example", range(number, number + 1)) for number in range(KINDS)
    ]
    living = Living(*services, *rules, entry("aside", 9090), entry("beside", 8081))
    clear(asked)
    living.change(entry("aside", 9090, addresses=["10.7.0.1"]))
    assert (asked["update"], asked["_build"]) == (0, 0)
    living.change(entry("beside", 8081, addresses=["10.7.0.2"]))
    assert (asked["update"], asked["_build"]) == (0, 0), "beside their virtual hosts"
    living.compare()
    clear(asked)
    living.change(looking("r4", "s4.example", range(4, 5), timeout="2s"))
    assert (asked["update"], asked["_build"]) == (1, 0)
    living.compare()


def test_a_change_looks_up_what_changed_and_not_what_rules_name(asked: dict[str, int]) -> None:
    """Each of a dozen rules of a port names each of a dozen kinds."""
    services = [entry(f"s{number}", 8080) for number in range(KINDS)]
    rules = [looking(f"r{number}", f"s{number}.example", range(KINDS)) for number in range(KINDS)]
    living = Living(*services, *rules)
    clear(asked)
    living.change(looking("r4", "s4.example", range(KINDS), timeout="2s"))
    assert asked["_build"] == 0
    assert asked["changed_port"] == 1 + KINDS, "for all, and for each"
    assert asked["destination_rule"] < 4 * KINDS, "of one destination for each, not of 144"
    living.compare()
    clear(asked)
    living.change(entry("s7", 8080, addresses=["10.7.0.3"]))
    assert asked["_build"] == 0
    assert asked["destination_rule"] < 4 * KINDS
    living.compare()


def test_listeners_that_come_out_alike_are_built_once(asked: dict[str, int]) -> None:
    """Each kind has a rule of its own, and all of them a DestinationRule for a service of a TCP port."""
    selector = {"matchLabels": {"tier": "x"}}

    def limited(most: int) -> Any:
        traffic = {"connectionPool": {"tcp": {"maxConnections": most, "idleTimeout": f"{most}s"}}}
        spec = {"host": "db.example", "workloadSelector": selector, "trafficPolicy": traffic}
        return document("DestinationRule", "limited", spec)

    services = [entry(f"s{number}", 8080) for number in range(KINDS)]
    rules = [
        looking(f"r{number}", f"s{number}.example", range(number, number + 1)) for number in range(KINDS)
    ]
    living = Living(*services, *rules, entry("db", 3306, "TCP", addresses=["10.9.9.9"]), limited(7))
    clear(asked)
    living.change(limited(8))
    assert asked["_build"] == KINDS
    assert asked["build"] == 2, "for all without the label, and for all with it"
    living.compare()
    tcp = {
        "match": [{"sourceLabels": {"app": "a5"}, "port": 3306}],
        "route": [{"destination": {"host": "s1.example"}}],
    }
    clear(asked)
    living.change(document("VirtualService", "of-a5", {"hosts": ["db.example"], "tcp": [tcp]}))
    assert asked["build"] == 3, "for the one with a rule of its own too"
    living.compare()


def chosen(number: int, **traffic: Any) -> Any:
    """A DestinationRule of one service for workloads with a label that all have."""
    spec = {
        "host": f"s{number}.example",
        "workloadSelector": {"matchLabels": {"tier": "x"}},
        "trafficPolicy": traffic,
    }
    return document("DestinationRule", f"d{number}", spec)


def told_apart(rules: int) -> Living:
    """Services with a DestinationRule for one label, and a rule for each kind."""
    services = [entry(f"s{number}", 8080) for number in range(60)]
    limited = [chosen(number, connectionPool={"tcp": {"maxConnections": 9}}) for number in range(rules)]
    own = [
        looking(f"r{number}", f"s{59 - number}.example", range(number, number + 1)) for number in range(KINDS)
    ]
    return Living(*services, *limited, *own)


def test_an_endpoint_costs_its_service_however_many_services_have_rules_for_labels() -> None:
    calls = []
    for rules in (4, 40):
        living = told_apart(rules)
        profile = Profile()
        for number in range(4):
            content = entry("s1", 8080, endpoints=[{"address": f"10.1.0.{number + 1}"}])
            if number >= 2:
                profile.enable()
            living.change(content)
            profile.disable()
        living.compare()
        calls.append(Stats(profile).total_calls)  # type: ignore[attr-defined]
    assert calls[1] < 1.25 * calls[0]


def test_kinds_for_which_rules_choose_alike_share_what_is_laid_over() -> None:
    living = told_apart(4)
    for change in (
        entry("s1", 8080, endpoints=[{"address": "10.1.0.9"}]),
        chosen(1, loadBalancer={"simple": "RANDOM"}),
    ):
        living.change(change)
        for type_url in (type_urls.CLUSTER, type_urls.ENDPOINT):
            found = {living.translation.snapshot(each).collection(type_url) for each in living.proxies}
            assert len(found) == 1
        living.compare()


def near(number: int, label: str) -> Any:
    """A DestinationRule that prefers endpoints with the same value of a label."""
    setting = {"localityLbSetting": {"failoverPriority": [label]}}
    traffic = {"loadBalancer": setting, "outlierDetection": {"consecutive5xxErrors": 3}}
    return document(
        "DestinationRule", f"near-{number}", {"host": f"s{number}.example", "trafficPolicy": traffic}
    )


def test_a_virtual_service_leaves_what_destination_rules_chose(asked: dict[str, int]) -> None:
    services = [entry(f"s{number}", 8080) for number in range(KINDS)]
    living = Living(*services, *[near(number, "app") for number in range(KINDS)])

    def led(timeout: str) -> Any:
        route = {"route": [{"destination": {"host": "s3.example"}}], "timeout": timeout}
        return document("VirtualService", "v", {"hosts": ["s3.example"], "http": [route]})

    living.change(led("1s"))
    clear(asked)
    living.change(led("2s"))
    assert asked["_build"] == 0
    living.compare()
    living.change(near(3, "tier"))
    assert asked["_build"] > 0
    living.compare()


def test_values_that_no_endpoint_has_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the proxy whose own label an endpoint has gets a load assignment of its own."""
    built: list[object] = []
    before = service_resources.load_assignments

    def count(of: ServiceDestinations, seen: SeenEndpoints) -> ServiceAssignments:
        built.append(seen.viewpoint)
        return before(of, seen)

    monkeypatch.setattr(service_resources, "load_assignments", count)
    endpoints = [
        {"address": "10.1.0.1", "labels": {"app": "a2"}},
        {"address": "10.1.0.2", "labels": {"app": "other"}},
    ]
    living = Living(entry("s0", 8080, endpoints=endpoints), near(0, "app"))
    assert len(built) == 3, "for a proxy without labels, for a2, and for all others"
    name = "outbound|8080||s0.example"
    found = [living.translation.snapshot(each).get(type_urls.ENDPOINT, name) for each in living.proxies]
    assert found[2] is not found[0]
    assert {id(each) for each in found} == {id(found[0]), id(found[2])}
    living.compare()
