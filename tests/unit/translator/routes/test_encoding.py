"""Route configurations are joined from virtual hosts that were encoded before."""

from __future__ import annotations

import pickle
from operator import attrgetter

from envoy.config.route.v3 import route_components_pb2, route_pb2

from mizzen.config.diagnostics import Origin
from mizzen.persistent import ChunkedSequence
from mizzen.translator.routes.encoding import (
    EncodedVirtualHost,
    Substitution,
    port_configuration_resource,
    route_configuration_head,
    substituted,
)

by_name = attrgetter("name")


def virtual_host(number: int, *, port: int = 80, rule: int | None = None) -> EncodedVirtualHost:
    name = f"{number:04}.example:{port}"
    places = PLACES[number if rule is None else rule]
    return EncodedVirtualHost(route_components_pb2.VirtualHost(name=name, domains=[name]), b"", places)


PLACES = [(Origin("mesh.yaml", line + 1),) for line in range(300)]


def test_the_version_does_not_depend_on_how_hosts_came_and_went() -> None:
    """Clients are believed which versions they hold, also by a server that has just begun."""
    made = [virtual_host(number) for number in range(300)]
    grown = ChunkedSequence(made[::3])
    for host in made:
        if host not in set(grown):
            grown = grown.updated([], [host], by_name)
    other = virtual_host(7, port=81)
    grown = grown.updated([made[7]], [other], by_name).updated([other], [made[7]], by_name)
    head, catch_all = route_configuration_head("80"), virtual_host(0, port=1)
    followed = port_configuration_resource(head, grown, catch_all)
    fresh = port_configuration_resource(head, ChunkedSequence(made), catch_all)
    assert (followed.version, followed.value, followed.origins) == (fresh.version, fresh.value, fresh.origins)
    assert pickle.loads(pickle.dumps(followed)).value == fresh.value
    names = [host.name for host in route_pb2.RouteConfiguration.FromString(followed.value).virtual_hosts]
    assert names == [host.name for host in (*made, catch_all)]


def test_the_version_follows_each_part() -> None:
    head = route_configuration_head("80")
    made = ChunkedSequence([virtual_host(number) for number in range(200)])
    configurations = [
        port_configuration_resource(head, made),
        port_configuration_resource(route_configuration_head("81"), made),
        port_configuration_resource(head, made, virtual_host(0, port=1)),
        port_configuration_resource(head, made.updated([made[150]], [], by_name)),
        port_configuration_resource(head, made.updated([made[150]], [virtual_host(150, port=81)], by_name)),
    ]
    assert len({each.version for each in configurations}) == len(configurations)


def test_places_of_a_rule_are_told_once() -> None:
    made = ChunkedSequence([virtual_host(number, rule=number // 150) for number in range(300)])
    assert port_configuration_resource(route_configuration_head("80"), made).origins == PLACES[0] + PLACES[1]


def test_a_substitution_gives_what_would_be_made_from_nothing() -> None:
    """Whatever else changes in the configuration below."""
    head, catch_all, own = route_configuration_head("80"), virtual_host(0, port=1), virtual_host(7, port=81)
    made = ChunkedSequence([virtual_host(number) for number in range(300)])
    gone = made.find("0007.example:80", by_name)
    for others in (None, ()):
        instead = Substitution((virtual_host(7),), (own,), others)
        for hosts in (made, made.updated([], [virtual_host(8, port=81)], by_name)):
            found = substituted(port_configuration_resource(head, hosts, catch_all), instead)
            wanted = port_configuration_resource(
                head, hosts.updated([gone], [own], by_name), *((catch_all,) if others is None else ())
            )
            assert (found.version, found.value, found.origins) == (
                wanted.version,
                wanted.value,
                wanted.origins,
            )
            assert found.mark == wanted.mark
