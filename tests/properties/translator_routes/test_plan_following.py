"""A plan that followed changes is the plan made from nothing, whatever changed and in whatever order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, event, given, settings

from mizzen.mesh.service import Protocol, Resolution, Service, ServicePort
from mizzen.translator.routes import plan_following
from mizzen.translator.routes.plan_following import FollowedPlan, common_ends, difference, next_plan
from mizzen.translator.routes.virtual_hosts import (
    ANY_PORT,
    Domains,
    DomainsKey,
    NamesKnownAs,
    PlanInputs,
    PlannedVirtualHost,
    VirtualHostPlan,
    plan_virtual_hosts,
)

NAMES = NamesKnownAs("default.svc.cluster.local", False, "V4_ONLY")
HOSTS = (
    # Full names, what is derived from them, and what differs from those by case or brackets alone.
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
    "[2001:db8::1]",
    "10.1.0.1",
)
WILDCARDS = ("*.example.com", "*.default.svc.cluster.local", "*.a")


@dataclass(frozen=True, eq=False)
class Rule:
    """All that a plan asks of a VirtualService."""

    hosts: tuple[str, ...]


def service(
    hostname: str,
    *,
    port: int = 80,
    protocol: Protocol = Protocol.HTTP,
    addresses: tuple[str, ...] = (),
    headless: bool = False,
) -> Service:
    return Service(
        hostname=hostname,
        namespace="default",
        name=hostname,
        ports=(ServicePort("p", port, protocol), ServicePort("q", 9999, Protocol.HTTP)),
        resolution=Resolution.STATIC,
        addresses=addresses,
        headless=headless,
        from_kubernetes=headless,
    )


def inputs(
    services: list[Service] | tuple[Service, ...],
    rules: list[tuple[Rule, bool]] | tuple[tuple[Rule, bool], ...],
    port: int = 80,
    names: NamesKnownAs = NAMES,
) -> PlanInputs:
    stand_ins: Any = tuple(rule for rule, _ in rules)
    return PlanInputs(port, tuple(services), stand_ins, tuple(contributes for _, contributes in rules), names)


def said(plan: VirtualHostPlan) -> list[tuple[object, ...]]:
    return [(host.name, host.domains, host.port, host.service, host.rule) for host in plan.virtual_hosts]


def by_name(plan: VirtualHostPlan) -> dict[str, PlannedVirtualHost]:
    return {host.name: host for host in plan.virtual_hosts}


services = st.builds(
    service,
    st.sampled_from(HOSTS),
    protocol=st.sampled_from((Protocol.HTTP, Protocol.HTTP, Protocol.UNSUPPORTED, Protocol.TCP)),
    addresses=st.lists(
        st.sampled_from(("10.1.0.1", "10.1.0.2", "2001:db8::1", "2001:DB8::1")), max_size=3
    ).map(tuple),
    headless=st.booleans(),
)
rule_hosts = st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3).map(tuple)
wild_hosts = st.lists(st.sampled_from((*HOSTS, *WILDCARDS)), min_size=1, max_size=2).map(tuple)
rules = st.tuples(st.builds(Rule, rule_hosts), st.sampled_from((True, True, False)))
wild_rules = st.tuples(st.builds(Rule, wild_hosts), st.booleans())
places = st.integers(0, 12)
steps = st.one_of(
    st.tuples(st.just("add service"), places, services),
    st.tuples(st.just("replace service"), places, services),
    st.tuples(st.just("remove service"), places, st.none()),
    st.tuples(st.just("move service"), places, places),
    st.tuples(st.just("add rule"), places, rules),
    st.tuples(st.just("replace rule"), places, rules),
    st.tuples(st.just("edit rule"), places, st.none()),
    st.tuples(st.just("remove rule"), places, st.none()),
    st.tuples(st.just("move rule"), places, places),
    st.tuples(st.just("toggle rule"), places, st.none()),
    st.tuples(st.just("add wildcard"), places, wild_rules),
)


def apply(step: tuple[str, int, Any], held: list[Service], ruled: list[tuple[Rule, bool]]) -> None:
    """Do to the services or the rules what the step says; nothing if there is nothing in its place."""
    what, place, value = step
    action, kind = what.split()
    items: list[Any] = held if kind == "service" else ruled
    if action == "add":
        items.insert(min(place, len(items)), value)
    elif place < len(items):
        if action == "replace":
            items[place] = value
        elif action == "edit":
            items[place] = (Rule(items[place][0].hosts), items[place][1])
        elif action == "toggle":
            items[place] = (items[place][0], not items[place][1])
        elif action == "move":
            items.insert(value, items.pop(place))
        else:
            del items[place]


def with_unique_hostnames(held: list[Service]) -> list[Service]:
    return list({each.hostname: each for each in held}.values())


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(services, max_size=8),
    st.lists(rules, max_size=6),
    st.lists(st.tuples(st.lists(steps, min_size=1, max_size=4), st.booleans()), min_size=2, max_size=8),
    st.sampled_from((80, 80, 80, 80, 9999, ANY_PORT)),
    st.sampled_from((True, True, True, False)),
    st.sampled_from((False, False, False, True)),
)
def test_followed_is_what_would_be_planned_anew(
    held: list[Service],
    ruled: list[tuple[Rule, bool]],
    rounds: list[tuple[list[tuple[str, int, Any]], bool]],
    port: int,
    unique: bool,
    wild: bool,
) -> None:
    known: dict[DomainsKey, Domains] = {}
    last: FollowedPlan | None = None
    for step_list, forgets in [([], False), *rounds]:
        for step in step_list:
            if wild or step[0] != "add wildcard":
                apply(step, held, ruled)
        if unique:
            held = with_unique_hostnames(held)
        now = inputs(held, ruled, port)
        made = next_plan(last, now, known)
        assert said(made.plan) == said(plan_virtual_hosts(now))
        assert made.inputs is now
        if last is not None:
            before = by_name(last.plan)
            for host in made.plan.virtual_hosts:
                old = before.get(host.name)
                if old is not None and said(VirtualHostPlan((old,))) == said(VirtualHostPlan((host,))):
                    assert old is host
            event("followed" if last.claims is not None and made.claims is not None else "from nothing")
        if forgets:
            known = {}
        last = made


def settled(now: PlanInputs) -> FollowedPlan:
    """A plan with its claims: those of a port that changes."""
    known: dict[DomainsKey, Domains] = {}
    return next_plan(next_plan(None, replace(now, services=()), known), now, known)


MANY = [service(f"s{number}.example.com") for number in range(100)]
RULES = [(Rule((f"v{number}.example.com",)), True) for number in range(100)]


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (inputs([*MANY, service("new.example.com")], RULES), {"new.example.com:80"}),
        (inputs(MANY[1:], RULES), {"s0.example.com:80"}),
        (inputs(MANY, [(Rule(("v.example.com", "s7.example.com")), True), *RULES]), {"v.", "s7."}),
        (inputs(MANY, RULES[:50] + RULES[51:]), {"v50.example.com:80"}),
        (inputs(MANY, [*RULES[:-1], (RULES[-1][0], False)]), {"v99.example.com:80"}),
        # The second to have an address has all else that it had, so it is another virtual host than before.
        (
            inputs([service("new.example.com", addresses=("s3.example.com",)), *MANY], RULES),
            {"new.example.com:80", "s3.example.com:80"},
        ),
    ],
)
def test_a_change_plans_what_it_contests_and_nothing_else(
    changed: PlanInputs, names: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = settled(inputs(MANY, RULES))
    monkeypatch.delattr(plan_following, "plan_virtual_hosts")
    made = next_plan(before, changed, {})
    assert said(made.plan) == said(plan_virtual_hosts(changed))
    assert made.claims is not None
    differ = set(before.plan.virtual_hosts) ^ set(made.plan.virtual_hosts)
    assert differ
    assert all(host.name.startswith(tuple(names)) for host in differ)


def test_a_plan_can_be_followed_by_several() -> None:
    before = settled(inputs(MANY, RULES))
    for changed in (inputs(MANY[1:], RULES), inputs(MANY, RULES[1:]), inputs(MANY[2:], RULES[2:])):
        assert said(next_plan(before, changed, {}).plan) == said(plan_virtual_hosts(changed))


@pytest.mark.parametrize("port", [80, ANY_PORT])
def test_an_edit_that_leaves_the_hosts_plans_nothing(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wild: list[tuple[Rule, bool]] = [*RULES, (Rule(("*.example.com",)), True)]
    before = next_plan(None, inputs(MANY, wild, port), {})
    edited = inputs(MANY, [*wild[:-1], (Rule(("*.example.com",)), True)], port)
    expected = said(plan_virtual_hosts(edited))
    monkeypatch.delattr(plan_following, "plan_virtual_hosts")
    assert said(next_plan(before, edited, {}).plan) == expected


@pytest.mark.parametrize(
    "changed",
    [
        # A wildcard, one hostname twice, one service or VirtualService twice, everything at once.
        inputs(MANY, [*RULES, (Rule(("*.example.com",)), True)]),
        inputs([*MANY, service("s7.example.com", addresses=("10.1.0.1",))], RULES),
        inputs([*MANY, MANY[7]], RULES),
        inputs(MANY, [*RULES, (Rule(("v7.example.com",)), True), RULES[7]]),
        inputs(MANY[50:], RULES[:50]),
    ],
)
def test_what_cannot_be_followed_is_planned_from_nothing(changed: PlanInputs) -> None:
    made = next_plan(settled(inputs(MANY, RULES)), changed, {})
    assert said(made.plan) == said(plan_virtual_hosts(changed))


def test_other_names_are_another_plan() -> None:
    before = settled(inputs(MANY, RULES))
    elsewhere = inputs(MANY, RULES, names=replace(NAMES, dns_domain="example.com"))
    assert said(next_plan(before, elsewhere, {}).plan) == said(plan_virtual_hosts(elsewhere))


ITEMS = tuple(object() for _ in range(8))
sequences = st.lists(st.sampled_from(ITEMS), unique=True)


@given(sequences, sequences)
def test_what_does_not_differ_stands_in_the_same_order(old: list[object], new: list[object]) -> None:
    gone, come = difference(old, new)
    assert [item for item in old if item not in gone] == [item for item in new if item not in come]
    assert set(gone) <= set(old)
    assert set(come) <= set(new)
    start, end = common_ends(old, new)
    assert old[:start] == new[:start]
    assert old[len(old) - end :] == new[len(new) - end :]
    assert start + end <= min(len(old), len(new))
