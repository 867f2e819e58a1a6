from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

from mizzen.translator.departing import with_departing
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Snapshot
from mizzen.xds.type_urls import CLUSTER, LISTENER, ROUTE

PLAIN = ("plain",)


def listener(*chains: tuple[str, ...], name: str = "0.0.0.0_8080", inspects: bool = True) -> Any:
    """Return a listener with a chain for each: the name of its target, and server names."""
    made = listener_pb2.Listener(name=name, stat_prefix="before the chains")
    made.address.socket_address.address = "0.0.0.0"
    made.address.socket_address.port_value = 8080 if "8080" in name else 8443
    for target, *server_names in chains:
        chain = made.filter_chains.add()
        chain.filter_chain_match.server_names.extend(server_names)
        chain.filters.add(name=target)
    if inspects:
        made.listener_filters.add(name="tls_inspector")
    return made


def routes(*hosts: tuple[str, ...]) -> Any:
    """Return a route configuration with a virtual host for each: its cluster, and domains."""
    made = route_pb2.RouteConfiguration(name="http.8080")
    for cluster, *domains in hosts:
        host = made.virtual_hosts.add(name=domains[0], domains=domains)
        if cluster:
            route = host.routes.add()
            route.match.prefix = "/"
            route.route.cluster = cluster
    made.validate_clusters.value = False
    return made


def snapshot(*messages: Any) -> Snapshot:
    return Snapshot.of(map(Resource.of, messages))


def union(old: Any, new: Any) -> Any:
    """Return the one message that is sent while `new` takes the place of `old`."""
    resource = next(iter(with_departing(snapshot(old), snapshot(new))))
    return type(old).FromString(resource.value)


def chains(made: Any) -> list[tuple[str, ...]]:
    return [(chain.filters[0].name, *chain.filter_chain_match.server_names) for chain in made.filter_chains]


def virtual_hosts(made: Any) -> list[tuple[str, ...]]:
    return [
        (host.routes[0].route.cluster if host.routes else "", *host.domains) for host in made.virtual_hosts
    ]


def test_nothing_is_kept_where_nothing_departs() -> None:
    old = snapshot(listener(PLAIN), routes(("a", "a.example")))
    more = snapshot(listener(PLAIN, ("new", "a.example")), routes(("a", "a.example"), ("b", "b.example")))
    assert with_departing(old, more) is more
    changed = snapshot(listener(("other",)), routes(("other", "a.example")))
    assert with_departing(old, changed) is changed
    assert with_departing(old, old) is old


def test_a_chain_of_the_old_protocol_stays_beside_that_of_the_new_one() -> None:
    plain, secure = listener(PLAIN, inspects=False), listener(("passthrough", "a.example"))

    to_tls = union(plain, secure)
    assert chains(to_tls) == [("passthrough", "a.example"), PLAIN]
    assert [each.name for each in to_tls.listener_filters] == ["tls_inspector"]

    back = union(secure, plain)
    assert chains(back) == [PLAIN, ("passthrough", "a.example")]
    assert [each.name for each in back.listener_filters] == ["tls_inspector"], "the kept chain needs it"


def test_what_a_new_chain_takes_is_not_kept() -> None:
    old = listener(("one", "a.example", "b.example"), ("two", "c.example"), ("any",))
    new = listener(("one", "a.example"), ("three", "c.example"), ("other",))
    assert chains(union(old, new)) == [*chains(new), ("one", "b.example")]


def test_a_domain_that_departs_stays() -> None:
    old = routes(("a", "a.example", "b.example"), ("c", "c.example"), ("", "*"))
    new = routes(("a", "a.example"), ("d", "c.example"))
    made = union(old, new)
    assert virtual_hosts(made) == [*virtual_hosts(new), ("a", "b.example")]
    assert not made.validate_clusters.value


def test_a_listener_that_departs_stays_with_all_that_it_needs() -> None:
    old = snapshot(listener(PLAIN), routes(("a", "a.example")), cluster_pb2.Cluster(name="a"))
    new = snapshot(listener(("passthrough", "a.example"), name="0.0.0.0_8443"), cluster_pb2.Cluster(name="b"))
    kept = with_departing(old, new)
    assert {type_url: set(kept.collection(type_url)) for type_url in (LISTENER, ROUTE, CLUSTER)} == {
        LISTENER: {"0.0.0.0_8080", "0.0.0.0_8443"},
        ROUTE: {"http.8080"},
        CLUSTER: {"a", "b"},
    }


def test_two_listeners_never_have_one_address() -> None:
    old, new = snapshot(listener(PLAIN)), snapshot(listener(PLAIN, name="renamed_8080"))
    assert with_departing(old, new) is new


def test_clusters_alone_are_not_kept() -> None:
    old = snapshot(listener(PLAIN), cluster_pb2.Cluster(name="a"))
    new = snapshot(listener(PLAIN))
    assert with_departing(old, new) is new


def test_one_of_many_virtual_hosts_is_found() -> None:
    """Most of a large message is not looked at: what is equal at both ends is passed over in blocks."""
    many = [(f"cluster-{number}", f"host-{number}.example") for number in range(3000)]
    for gone in (0, 1, 1500, 2998, 2999):
        left = [host for number, host in enumerate(many) if number != gone]
        assert virtual_hosts(union(routes(*many), routes(*left))) == [*left, many[gone]]
