"""Plans of virtual hosts that follow changes: what a change contests is planned anew, the rest taken over.

A virtual host has its name and its domains because nobody before it claims them. So when claims come and go,
only the virtual hosts that share a name or a domain with one of those can look different afterwards; all
others keep their very object, and whoever has encoded them needs no more than to see that.

Not followed but planned from nothing are ports with a wildcard among the hosts of the VirtualServices (a
wildcard may own any service), `ANY_PORT` (its claims are ordered by port as well), and what changes too much
at once. Even then what comes out the same keeps its object.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress, count
from operator import attrgetter, is_not
from typing import TYPE_CHECKING, Final, TypeVar

from mizzen.mesh.hosts import is_wildcard
from mizzen.mesh.service import Service
from mizzen.persistent import common_ends
from mizzen.translator.routes.virtual_hosts import (
    ANY_PORT,
    Claim,
    Domains,
    DomainsKey,
    PlanInputs,
    PlannedVirtualHost,
    VirtualHostPlan,
    all_claims,
    domain_name,
    domains_of,
    http_ports,
    plan_virtual_hosts,
    rule_claims,
)

if TYPE_CHECKING:
    from mizzen.mesh.rules.virtual_services import VirtualServiceRule

Item = TypeVar("Item", bound=Hashable)

_ALWAYS_FOLLOWED: Final = 16
"""So many services and VirtualServices may change at once in a plan of any size; beyond, an eighth of all."""

_by_name = attrgetter("name")


@dataclass(frozen=True, slots=True, eq=False)
class FollowedPlan:
    """A plan, with what it takes to make the next one from it.

    `claims` are None for a plan that cannot be followed, and for the first of a port: most never change.
    """

    inputs: PlanInputs
    plan: VirtualHostPlan
    claims: Claims | None = None


class Claims:
    """All claims of one port, won or not, by what they may clash over. Not changed once a plan has it."""

    __slots__ = ("by_domain", "by_name", "of_rule", "services")

    def __init__(self, before: Claims | None = None) -> None:
        """Start with the claims of `before`, or with none."""
        self.services: dict[str, Service] = dict(before.services) if before else {}
        self.of_rule: dict[VirtualServiceRule, list[Claim]] = dict(before.of_rule) if before else {}
        self.by_name: dict[str, tuple[Claim, ...]] = dict(before.by_name) if before else {}
        self.by_domain: dict[str, tuple[Claim, ...]] = dict(before.by_domain) if before else {}

    def add(self, claim: Claim, domains: Domains) -> None:
        """Put in a claim to `domains`; one that is there already is no second one."""
        alone = (claim,)
        name = claim.name
        among = self.by_name.get(name)
        if among is not None and claim in among:
            return
        self.by_name[name] = alone if among is None else (*among, claim)
        for domain in dict.fromkeys(domains.domains):
            among = self.by_domain.get(domain)
            self.by_domain[domain] = alone if among is None else (*among, claim)

    def remove(self, claim: Claim, domains: Domains) -> None:
        """Take a claim to `domains` out, if it is there."""
        _take_out(self.by_name, claim.name, claim)
        for domain in domains.domains:
            _take_out(self.by_domain, domain, claim)

    def by_default(self, hostname: str, port: int) -> list[Claim]:
        """Return the claim of a service that no VirtualService owns, if there is one."""
        among = self.by_name.get(domain_name(hostname, port), ())
        return [claim for claim in among if claim.rule is None and claim.host == hostname]


def _take_out(claims: dict[str, tuple[Claim, ...]], key: str, claim: Claim) -> None:
    left = tuple(each for each in claims.get(key, ()) if each != claim)
    if left:
        claims[key] = left
    else:
        claims.pop(key, None)


def next_plan(
    before: FollowedPlan | None, inputs: PlanInputs, known_domains: dict[DomainsKey, Domains]
) -> FollowedPlan:
    """Return the plan of `inputs`, equal to `plan_virtual_hosts(inputs)`.

    `before` is an earlier plan of the port; of its virtual hosts those that are still the same keep their
    objects. `known_domains` are those worked out for the port and names so far; what is missing is added.
    """
    if before is None or (before.inputs.listen_port, before.inputs.names) != (
        inputs.listen_port,
        inputs.names,
    ):
        return FollowedPlan(inputs, plan_virtual_hosts(inputs, known_domains))
    if before.claims is not None:
        following = _Following(before.inputs, before.claims, inputs, known_domains)
        if following.is_worthwhile:
            return FollowedPlan(inputs, following.plan(before.plan), following.claims)
    else:
        renamed = _with_other_rules(before, inputs)
        if renamed is not None:
            return FollowedPlan(inputs, renamed)
    plan = _with_known_objects(plan_virtual_hosts(inputs, known_domains), before.plan)
    return FollowedPlan(inputs, plan, _claims_from_nothing(inputs, known_domains))


def _with_other_rules(before: FollowedPlan, inputs: PlanInputs) -> VirtualHostPlan | None:
    """Return the plan if there are only other VirtualServices with the same hosts in the places of some: what
    most edits of a VirtualService come to. None if there is more to it."""
    then = before.inputs
    if (then.services, then.contributing) != (inputs.services, inputs.contributing):
        return None
    replaced = {old: new for old, new in zip(then.rules, inputs.rules, strict=True) if old is not new}
    if any(old.hosts != new.hosts for old, new in replaced.items()):
        return None
    return VirtualHostPlan(
        tuple(
            replace(host, rule=replaced[host.rule]) if host.rule in replaced else host
            for host in before.plan.virtual_hosts
        )
    )


def _claims_from_nothing(inputs: PlanInputs, known_domains: dict[DomainsKey, Domains]) -> Claims | None:
    """Return the claims of a port, None if its plan cannot be followed."""
    if inputs.listen_port == ANY_PORT or _any_wildcard(inputs.rules):
        return None
    claims = Claims()
    claims.services = {service.hostname: service for service in inputs.services}
    claims.of_rule = {rule: [] for rule in inputs.rules}
    if (len(claims.services), len(claims.of_rule)) != (len(inputs.services), len(inputs.rules)):
        return None
    for claim in all_claims(inputs):
        claims.add(claim, domains_of(claim, inputs, known_domains))
        if claim.rule is not None:
            claims.of_rule[claim.rule].append(claim)
    return claims


def _any_wildcard(rules: Iterable[VirtualServiceRule]) -> bool:
    return any(is_wildcard(host) for rule in rules for host in rule.hosts)


def _with_known_objects(plan: VirtualHostPlan, before: VirtualHostPlan) -> VirtualHostPlan:
    known = {host.name: host for host in before.virtual_hosts}
    return VirtualHostPlan(tuple(_same_or(known.get(host.name), host) for host in plan.virtual_hosts))


def _same_or(known: PlannedVirtualHost | None, host: PlannedVirtualHost) -> PlannedVirtualHost:
    """Return `known` if it says the same as `host`, else `host`."""
    if (
        known is not None
        and known.domains == host.domains
        and known.service is host.service
        and known.rule is host.rule
        and known.port == host.port
    ):
        return known
    return host


class _Following:
    """One step from the claims of a plan to those of the next. `claims` are the new ones."""

    def __init__(
        self,
        before: PlanInputs,
        claims: Claims,
        inputs: PlanInputs,
        known_domains: dict[DomainsKey, Domains],
    ) -> None:
        self._inputs = inputs
        self._port = inputs.listen_port
        self._known_domains = known_domains
        self._before = before
        self._held = claims
        self._services_gone, self._services_come = difference(before.services, inputs.services)
        self._rules_gone, self._rules_come = difference(before.rules, inputs.rules)
        self._toggled = self._find_toggled()
        self.claims = claims
        self._order = _Order(inputs)
        self._owners: dict[str, Claim | None] = {}

    def _find_toggled(self) -> list[VirtualServiceRule]:
        """Return the rules that are in both and contribute in one of them."""
        before, inputs = self._before, self._inputs
        if before.rules == inputs.rules:
            if before.contributing == inputs.contributing:
                return []
            differ = map(is_not, before.contributing, inputs.contributing)
            return list(compress(inputs.rules, differ))
        contributed = set(compress(before.rules, before.contributing))
        contributing = set(compress(inputs.rules, inputs.contributing))
        moved = {*self._rules_gone, *self._rules_come}
        return [rule for rule in contributed ^ contributing if rule not in moved]

    @property
    def is_worthwhile(self) -> bool:
        """Whether the new plan can be made from the old one, and with less work than from nothing."""
        changes = (
            len(self._services_gone)
            + len(self._services_come)
            + len(self._rules_gone)
            + len(self._rules_come)
            + len(self._toggled)
        )
        if changes > _ALWAYS_FOLLOWED + (len(self._inputs.services) + len(self._inputs.rules)) // 8:
            return False
        hostnames = [service.hostname for service in self._services_gone]
        return (
            _stays_unique(self._held.of_rule, self._rules_gone, self._rules_come)
            and _stays_unique(self._held.services, hostnames, [each.hostname for each in self._services_come])
            and not _any_wildcard(self._rules_come)
        )

    def plan(self, before: VirtualHostPlan) -> VirtualHostPlan:
        """Bring the claims up to date and return the new plan, made from the one `before`."""
        claims = self.claims = Claims(self._held)
        for service in self._services_gone:
            claims.services.pop(service.hostname, None)
        for service in self._services_come:
            claims.services[service.hostname] = service
        gone, come = self._changed_claims()
        names = {claim.name for claim in (*gone, *come)}
        contested = self._contested(names)
        for claim in gone:
            claims.remove(claim, self._domains(claim))
        for claim in come:
            claims.add(claim, self._domains(claim))
        contested |= self._contested(names)
        names.update(claim.name for domain in contested for claim in self.claims.by_domain.get(domain, ()))
        return VirtualHostPlan(_replaced(before.virtual_hosts, {name: self._planned(name) for name in names}))

    def _changed_claims(self) -> tuple[list[Claim], list[Claim]]:
        """Return the claims that may have changed as they were and as they are now.

        They are those of the rules that changed, of the rules that name a changed service or share a host
        with such a rule, and of the services of those hosts. A service that can have a virtual host always
        claims its own name, so where one comes or goes, what is contested includes that name.
        """
        changed_rules = (*self._rules_gone, *self._rules_come, *self._toggled)
        hosts = {service.hostname for service in (*self._services_gone, *self._services_come)}
        hosts.update(host for rule in changed_rules for host in rule.hosts)
        held, claims = self._held, self.claims
        gone = [claim for rule in self._rules_gone for claim in claims.of_rule.pop(rule)]
        come: list[Claim] = []
        rules = zip(self._inputs.rules, self._inputs.contributing, strict=True)
        concerned = [not hosts.isdisjoint(rule.hosts) for rule in self._inputs.rules]
        for rule, contributes in compress(rules, concerned):
            gone += held.of_rule.get(rule, ())
            made = rule_claims(rule, self._port, claims.services) if contributes else []
            claims.of_rule[rule] = made
            come += made
        for host in hosts:
            gone += held.by_default(host, self._port)
            service = claims.services.get(host)
            if service is not None and not service.is_alias and any(http_ports(service, self._port)):
                # If a VirtualService owns it, this one comes behind that one's and so never has its name.
                come.append(Claim(host, self._port, service, None))
        return gone, come

    def _contested(self, names: Iterable[str]) -> set[str]:
        """Return the domains that the claims to `names` are about."""
        return {
            domain
            for name in names
            for claim in self.claims.by_name.get(name, ())
            for domain in self._domains(claim).domains
        }

    def _domains(self, claim: Claim) -> Domains:
        return domains_of(claim, self._inputs, self._known_domains)

    def _planned(self, name: str) -> PlannedVirtualHost | None:
        """Return the virtual host of a name, None if nobody claims it or no domain is left for it."""
        claim = self._order.first(self.claims.by_name.get(name, ()))
        if claim is None:
            return None
        offered = self._domains(claim)
        kept = tuple(
            domain
            for domain in dict.fromkeys(offered.domains)
            if not self._gives_way(domain, offered) and self._owner(domain) == claim
        )
        if not kept:
            return None
        return PlannedVirtualHost(name, kept, claim.port, claim.service, claim.rule)

    def _owner(self, domain: str) -> Claim | None:
        """Return the first of the claims that have their names and want the domain."""
        among = self.claims.by_domain.get(domain, ())
        if len(among) == 1:
            return among[0]
        if domain not in self._owners:
            wanting = [claim for claim in among if self._has_name(claim) and self._wants(claim, domain)]
            self._owners[domain] = self._order.first(wanting)
        return self._owners[domain]

    def _has_name(self, claim: Claim) -> bool:
        return self._order.first(self.claims.by_name[claim.name]) == claim

    def _wants(self, claim: Claim, wanted: str) -> bool:
        offered = self._domains(claim)
        return wanted in offered.domains and not self._gives_way(wanted, offered)

    def _gives_way(self, domain: str, offered: Domains) -> bool:
        """Whether a domain is derived, and the real name of a service with virtual hosts."""
        if domain not in offered.derived:
            return False
        service = self.claims.services.get(domain)
        return service is not None and not service.is_alias and any(http_ports(service, self._port))


def _stays_unique(known: Mapping[Item, object], gone: Sequence[Item], come: Sequence[Item]) -> bool:
    """Whether `known` less `gone` has nothing of `come`, which has nothing twice."""
    return len(set(come)) == len(come) and all(item in gone for item in come if item in known)


class _Order:
    """Which of some claims comes first, as `all_claims` orders them."""

    def __init__(self, inputs: PlanInputs) -> None:
        self._inputs = inputs
        self._rules: Mapping[VirtualServiceRule, int] = {}
        self._services: Mapping[Service, int] = {}

    def first(self, claims: Sequence[Claim]) -> Claim | None:
        """Return the first of the claims, None if there are none."""
        if len(claims) < 2:
            return claims[0] if claims else None
        if not self._rules and not self._services:
            # Most changes contest nothing.
            self._rules = dict(zip(self._inputs.rules, count(), strict=False))
            self._services = dict(zip(self._inputs.services, count(), strict=False))
        return min(claims, key=self._position)

    def _position(self, claim: Claim) -> tuple[bool, int, bool, int]:
        rule, service = claim.rule, claim.service
        if rule is not None:
            return (False, self._rules[rule], service is not None, rule.hosts.index(claim.host))
        assert service is not None
        return (True, self._services[service], True, 0)


def _replaced(
    hosts: Sequence[PlannedVirtualHost], changes: Mapping[str, PlannedVirtualHost | None]
) -> tuple[PlannedVirtualHost, ...]:
    """Return `hosts`, sorted by name, with what `changes` has for some names in place of what is there."""
    found = list(hosts)
    for name, planned in changes.items():
        at = bisect_left(found, name, key=_by_name)
        known = found[at] if at < len(found) and found[at].name == name else None
        put = [] if planned is None else [_same_or(known, planned)]
        found[at : at + (known is not None)] = put
    return tuple(found)


def difference(old: Sequence[Item], new: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Return the items of `old` and of `new` between which all others stand in the same order in both.

    Items are compared by identity. One that has moved may be in both.
    """
    start, end = common_ends(old, new)
    gone, come = list(old[start : len(old) - end]), list(new[start : len(new) - end])
    kept = set(gone).intersection(come)
    if [item for item in gone if item in kept] != [item for item in come if item in kept]:
        return gone, come
    return [item for item in gone if item not in kept], [item for item in come if item not in kept]
