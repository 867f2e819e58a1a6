"""Virtual hosts that followed changes are those that one pass over all claims finds, whatever changed."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, event, given, settings

from mizzen.mesh.scope.domains import NamesKnownAs
from mizzen.mesh.scope.virtual_hosts import ANY_PORT, NO_VIRTUAL_HOSTS, VirtualHosts
from mizzen.mesh.service import Protocol, Resolution, Service, ServicePort
from tests.properties.mesh.virtual_hosts_from_nothing import Planned, virtual_hosts_from_nothing
from tests.unit.mesh.scope.stand_ins import Rule, Seen, changed, from_nothing, served

HOSTS = (
    # Full names, what is derived from them, and what differs from those by case alone.
    "a.default.svc.cluster.local",
    "a.default.svc",
    "a.default",
    "A.default",
    "a",
    "A",
    "b.default.svc.cluster.local",
    "b",
    "b.example.com",
    "B.example.com",
    "b.example.com.",
    "2001:db8::1",
    "10.1.0.1",
)
ADDRESSES = ("10.1.0.1", "10.1.0.2", "2001:db8::1", "2001:DB8::1")
WILDCARDS = ("*.example.com", "*.b.example.com", "*.default.svc.cluster.local", "*.a")


@st.composite
def drawn_services(draw: Any) -> Service:
    hostname = draw(st.sampled_from((*HOSTS, *WILDCARDS[:1])))
    headless = draw(st.booleans())
    protocols = st.sampled_from((Protocol.HTTP, Protocol.HTTP, Protocol.UNSUPPORTED, Protocol.TCP))
    numbers = draw(st.lists(st.sampled_from((80, 81, 9999)), min_size=1, unique=True))
    return Service(
        hostname=hostname,
        namespace="default",
        name=hostname,
        ports=tuple(ServicePort(f"p{number}", number, draw(protocols)) for number in numbers),
        resolution=Resolution.STATIC,
        addresses=tuple(draw(st.lists(st.sampled_from(ADDRESSES), max_size=3))),
        aliases=tuple(draw(st.lists(st.sampled_from(HOSTS[:3]), max_size=1))),
        alias_of=draw(st.sampled_from(("", "", "", "b.example.com"))),
        headless=headless,
        from_kubernetes=headless,
        creation=(draw(st.floats(0, 4)), hostname, "", ""),
    )


rule_hosts = st.lists(st.sampled_from((*HOSTS, *WILDCARDS)), min_size=1, max_size=3, unique=True).map(tuple)
rules = st.tuples(st.builds(Rule, rule_hosts), st.sampled_from((True, True, False)))
places = st.integers(0, 12)
steps = st.one_of(
    st.tuples(st.just("put service"), places, drawn_services()),
    st.tuples(st.just("remove service"), places, st.none()),
    st.tuples(st.just("add rule"), places, rules),
    st.tuples(st.just("replace rule"), places, rules),
    st.tuples(st.just("edit rule"), places, st.none()),
    st.tuples(st.just("toggle rule"), places, st.none()),
    st.tuples(st.just("remove rule"), places, st.none()),
)


def apply(step: tuple[str, int, Any], held: dict[str, Service], ruled: list[tuple[Rule, bool]]) -> None:
    """Do to the services or the rules what the step says; nothing if there is nothing in its place."""
    what, place, value = step
    if what == "put service":
        held[value.hostname] = value
    elif what == "remove service":
        for hostname in list(held)[place : place + 1]:
            del held[hostname]
    elif what == "add rule":
        ruled.insert(place, value)
    elif place < len(ruled):
        rule, contributes = ruled.pop(place)
        if what == "replace rule":
            ruled.insert(place, value)
        elif what == "edit rule":
            ruled.insert(place, (Rule(rule.hosts), contributes))
        elif what == "toggle rule":
            ruled.insert(place, (rule, not contributes))


def said(hosts: VirtualHosts) -> Planned:
    return {name: (host.domains, host.port, host.service, host.rule) for name, host in served(hosts).items()}


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(drawn_services(), max_size=8),
    st.lists(rules, max_size=6),
    st.lists(st.lists(steps, max_size=4), min_size=2, max_size=8),
    st.sampled_from((80, 80, 81, 9999, ANY_PORT, ANY_PORT)),
    st.sampled_from(("default.svc.cluster.local", "other.svc.cluster.local", "example.com")),
)
def test_changed_virtual_hosts_are_those_of_one_pass(
    first: list[Service],
    ruled: list[tuple[Rule, bool]],
    rounds: list[list[tuple[str, int, Any]]],
    port: int,
    dns_domain: str,
) -> None:
    names = NamesKnownAs(dns_domain, False, "V4_ONLY")
    held = {service.hostname: service for service in first}
    seen = Seen((), ())
    hosts = NO_VIRTUAL_HOSTS
    for round_of_steps in [[], *rounds]:
        for step in round_of_steps:
            apply(step, held, ruled)
        last, before = seen, hosts
        seen = Seen(list(held.values()), ruled)
        services = {each.hostname for each in set(seen.services) ^ set(last.services)}
        moved = set(seen.rules) ^ set(last.rules) | seen.contributing ^ last.contributing
        hosts = changed(before, port, names, seen, services, moved)
        expected = virtual_hosts_from_nothing(port, seen.services_called(port), ruled, names)
        assert said(hosts) == expected
        assert said(from_nothing(port, names, seen)) == expected
        assert {domain: host.name for host in served(hosts).values() for domain in host.domains} == {
            domain: owner.name for domain in hosts.by_domain if (owner := hosts.owner(domain)) is not None
        }
        then, said_then = served(before), said(before)
        for name, host in served(hosts).items():
            if said_then.get(name) == expected[name]:
                assert host is then[name]
                event("kept")
