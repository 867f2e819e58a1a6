"""What proxies share, and what a change costs them."""

from __future__ import annotations

import gc
from typing import Any

import yaml

from mizzen.config import ConfigStore, parse_documents
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.scope.egress_listener import EgressListener
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.scope.virtual_hosts import VirtualHosts
from mizzen.mesh.service import EndpointPool
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.shared import proxy_classes
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from tests.unit.translator.listeners.listener_scenes import (
    document,
    gateway,
    mesh_of,
    proxy,
    router,
    server,
    service,
)

TYPES = (type_urls.CLUSTER, type_urls.ENDPOINT, type_urls.LISTENER, type_urls.ROUTE)


class Living:
    """A mesh that changes, and its translation."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self._store = ConfigStore()
        self._apply(documents)
        self.mesh = Mesh.build(self._store.configs(), MeshConfig())
        self.translation = Translation(self.mesh)

    def _apply(self, documents: Any) -> Any:
        text = yaml.safe_dump_all(documents).encode()
        return self._store.apply({"mesh.yaml": parse_documents(text, "mesh.yaml")})

    def change(self, *documents: dict[str, Any]) -> MeshDelta:
        self.mesh, delta = self.mesh.updated(self._apply(documents))
        self.translation.update(self.mesh)
        return delta

    def collections(self, one: Any) -> list[Any]:
        snapshot = self.translation.snapshot(one)
        return [snapshot.collection(each) for each in TYPES]


A = service("a.example", 8080, "HTTP", endpoints=("10.9.0.1",))
A_MOVED = service("a.example", 8080, "HTTP", endpoints=("10.9.0.2",))
OWN = service("own.example", 9000, "HTTP", endpoints=("10.0.0.7", "10.0.0.8"))


def test_replicas_are_sent_the_very_same_collections() -> None:
    living = Living(A, OWN)
    one, other = proxy(address="10.0.0.7"), proxy(address="10.0.0.8")
    assert all(x is y for x, y in zip(living.collections(one), living.collections(other), strict=True))
    living.change(A_MOVED, OWN)
    assert all(x is y for x, y in zip(living.collections(one), living.collections(other), strict=True))
    assert living.translation.profiles == 1


def test_workloads_differ_in_what_is_theirs_alone() -> None:
    living = Living(A, OWN)
    client, replica = proxy(address="10.0.0.99"), proxy(address="10.0.0.7")
    clusters, endpoints, listeners, routes = (
        (x, y) for x, y in zip(living.collections(client), living.collections(replica), strict=True)
    )
    assert endpoints[0] is endpoints[1]
    assert routes[0] is routes[1]
    assert clusters[1].resources.keys() - clusters[0].resources.keys() == {"inbound|9000||"}
    assert listeners[0].resources["0.0.0.0_8080"] is listeners[1].resources["0.0.0.0_8080"]
    assert living.translation.profiles == 1


def test_labels_that_no_rule_mentions_make_no_difference() -> None:
    living = Living(A)
    living.collections(proxy(labels={"app": "x"}))
    living.collections(proxy(labels={"app": "y"}))
    assert living.translation.profiles == 1
    mentioning = document(
        "Sidecar", "s", {"workloadSelector": {"labels": {"app": "x"}}, "egress": [{"hosts": ["./*"]}]}
    )
    living.change(A, mentioning)
    assert (
        living.collections(proxy(labels={"app": "x"}))[0]
        is not living.collections(proxy(labels={"app": "y"}))[0]
    )


def test_the_own_configuration_of_a_proxy_sets_it_apart() -> None:
    living = Living(A)
    living.collections(proxy())
    living.collections(proxy(PROXY_CONFIG={"proxyHeaders": {"server": {"value": "x"}}}))
    assert living.translation.profiles == 2


def test_replicas_with_a_configuration_of_their_own_are_served_by_it() -> None:
    living = Living(OWN)
    found = [
        living.collections(each)[2].resources["virtualInbound"].version
        for each in (
            proxy(address="10.0.0.7"),
            proxy(address="10.0.0.8", PROXY_CONFIG={"proxyHeaders": {"server": {"value": "x"}}}),
            proxy(address="10.0.0.8"),
        )
    ]
    assert found[0] == found[2] != found[1]


def test_replicas_of_a_gateway_share_what_is_built_once_for_each_mesh() -> None:
    edge = gateway(server(80, "HTTP"), server(15443, "TLS", "*.example", tls={"mode": "AUTO_PASSTHROUGH"}))
    inside = service("a.example", 8080, "HTTP", location="MESH_INTERNAL")
    living = Living(inside, edge)
    one, other = router(), proxy("router", "10.0.0.8", labels={"istio": "edge"})
    built = living.collections(one)
    assert all(x is y for x, y in zip(built, living.collections(other), strict=True))
    living.change(service("b.example", 8080, "HTTP", location="MESH_INTERNAL"), edge)
    chains = living.collections(one)[2].resources["0.0.0.0_15443"]
    assert b"outbound_.8080_._.b.example" in chains.value
    assert b"a.example" not in chains.value


def test_endpoints_that_move_leave_all_else_the_same_object() -> None:
    living = Living(A, OWN)
    before = living.collections(proxy())
    living.change(A_MOVED, OWN)
    after = living.collections(proxy())
    assert [x is y for x, y in zip(before, after, strict=True)] == [True, False, True, True]


def test_a_change_that_touches_nothing_of_a_proxy_changes_no_object() -> None:
    living = Living(A)
    before = living.collections(proxy())
    hidden = document(
        "VirtualService",
        "v",
        {
            "hosts": ["a.example"],
            "gateways": ["edge"],
            "http": [{"route": [{"destination": {"host": "a.example"}}]}],
        },
    )
    living.change(A, hidden)
    assert all(x is y for x, y in zip(before, living.collections(proxy()), strict=True))


def test_a_profile_that_nobody_asks_for_is_forgotten() -> None:
    living = Living(A)
    living.collections(router())
    living.collections(proxy())
    for number in range(proxy_classes._UNUSED_UPDATES + 1):
        living.change(A if number % 2 else A_MOVED, OWN if number % 3 else service("b.example", 8080, "HTTP"))
        living.collections(proxy())
    assert living.translation.profiles == 1


def test_a_mesh_of_no_services() -> None:
    snapshot = Translation(mesh_of([])).snapshot(proxy())
    assert set(snapshot.collection(type_urls.LISTENER).resources) == {"virtualOutbound", "virtualInbound"}


def alive(kind: type) -> int:
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


def test_what_many_changes_superseded_is_not_kept() -> None:
    edge = gateway(server(80, "HTTP"), server(15443, "TLS", "*.example", tls={"mode": "AUTO_PASSTHROUGH"}))

    def mesh(number: int) -> tuple[dict[str, Any], ...]:
        moved = service("b.example", 8080, "HTTP", endpoints=(f"10.9.1.{number}",), location="MESH_INTERNAL")
        other = service(f"c{number % 2}.example", 8080, "HTTP", location="MESH_INTERNAL")
        route = [{"destination": {"host": "b.example"}}]
        rule = {"hosts": ["b.example"], "http": [{"name": f"{number}", "route": route}]}
        return (A, OWN, edge, moved, other, document("VirtualService", "v", rule))

    before = {kind: alive(kind) for kind in (SidecarScope, EgressListener, VirtualHosts, EndpointPool)}
    living = Living(*mesh(1))
    for number in range(2, 122):
        living.change(*mesh(number))
        for one in (proxy(), router()):
            living.collections(one)
    for kind, count in before.items():
        assert alive(kind) - count < 60, kind


def test_each_collection_says_of_which_type_it_is() -> None:
    edge = gateway(
        server(443, "HTTPS", tls={"mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"})
    )
    translation = Living(A, edge).translation
    for one in (proxy(), proxy(INTERCEPTION_MODE="NONE"), router()):
        snapshot = translation.snapshot(one)
        for type_url in (*TYPES, type_urls.SECRET):
            collection = snapshot.collection(type_url)
            assert collection.type_url == type_url
            assert all(each.type_url == type_url for each in collection.resources.values())


def test_secrets_go_with_the_clusters_that_name_them() -> None:
    def ruled(mode: str) -> dict[str, Any]:
        tls = {"mode": mode} | ({"caCertificates": "/ca"} if mode == "SIMPLE" else {})
        spec = {"host": "a.example", "trafficPolicy": {"tls": tls}}
        return document("DestinationRule", "d", spec)

    living = Living(A, ruled("SIMPLE"))

    def secrets() -> set[str]:
        return set(living.translation.snapshot(proxy()).collection(type_urls.SECRET).resources)

    assert secrets() == {"file-root:/ca"}
    living.change(A, ruled("DISABLE"))
    assert secrets() == set()
    living.change(A, ruled("SIMPLE"))
    assert secrets() == {"file-root:/ca"}
    living.change(ruled("SIMPLE"))
    assert secrets() == set()


def test_https_beside_what_is_passed_on_keeps_its_routes() -> None:
    """The listener of passed services is kept as long as they are; one with a server besides is made anew."""
    tls = {"mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"}
    edge = gateway(
        server(15443, "TLS", "*.example", tls={"mode": "AUTO_PASSTHROUGH"}),
        server(15443, "HTTPS", "web.test", name="https", tls=tls),
    )
    inside = service("a.example", 8080, "HTTP", location="MESH_INTERNAL")
    unrelated = service("far.test", 9, "TCP")
    living = Living(inside, edge)
    names = {"https.15443.https.edge.default"}
    assert living.collections(router())[3].resources.keys() == names
    living.change(inside, edge, unrelated)
    assert living.collections(router())[3].resources.keys() == names
