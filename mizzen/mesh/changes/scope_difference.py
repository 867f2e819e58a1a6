"""The difference of two scopes: the facts that differ. It is found where their collections differ.

Only this module knows the consequences of a change: which hosts a wildcard or an alias stands for, that a
VirtualService concerns the ports of services under its hosts, and that a DestinationRule concerns the
VirtualServices that route to its host. It does not know clusters, listeners and routes, which read the facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from mizzen.mesh.changes.difference import MeshDifference
from mizzen.mesh.facts import Called, Fact, Imported, LeadingTo, Meant, Pool, Routed, Rules, Served
from mizzen.mesh.hosts import is_wildcard, matches
from mizzen.mesh.recorded.scope import all_alike
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.egress_listener import EgressListener
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.scope.virtual_hosts import ANY_PORT, DEFAULT_HTTP_PORT
from mizzen.mesh.service import Protocol, Service
from mizzen.mesh.services.registry import Registry, ServiceKey

if TYPE_CHECKING:
    from mizzen.mesh.snapshot import Mesh

_NO_HOSTS: Final[frozenset[str]] = frozenset()
_NO_RULES: Final[frozenset[VirtualServiceRule]] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class ScopeDifference:
    """The facts that differ between two scopes of the same kind of proxies. It refers to neither scope.

    With `everything`, the two have different Sidecars or outbound traffic policies; then only the facts of
    services are compared, and all other facts may differ. For incremental updates it also has the hosts of
    changed `services`, all `hosts` whose meaning differs, the `rules` that only one scope has, and the rules
    of both that are `leading` to one of the hosts. For gateways, whose rules depend on their Gateways, it has
    `hosts` and all rules of the mesh that are `leading` to them.
    """

    facts: frozenset[Fact]
    services: frozenset[str] = _NO_HOSTS
    hosts: frozenset[str] = _NO_HOSTS
    rules: frozenset[VirtualServiceRule] = _NO_RULES
    leading: frozenset[VirtualServiceRule] = _NO_RULES
    everything: bool = False

    @classmethod
    def between(
        cls, before: SidecarScope, after: SidecarScope, difference: MeshDifference, mesh: Mesh
    ) -> ScopeDifference:
        """Compare the scopes of one profile in two snapshots. `mesh` is the later snapshot, `difference` that
        of both."""
        gone, come = before.services.differing(after.services)
        services = difference.services.union([service.key for service in gone | come])
        leading_to = mesh.virtual_service_index.leading_to
        rechosen = _Rechosen(before, after, difference.destination_hosts)
        facts: set[Fact] = {Served(key) for key in services.union(difference.peers, rechosen.served)}
        facts.update(map(Pool, difference.endpoints))
        if (
            before.sidecar is not after.sidecar
            or before.outbound_traffic_policy != after.outbound_traffic_policy
        ):
            return cls(frozenset(facts), everything=True)
        hosts = frozenset([host for _, host in services])
        rules_hosts = rechosen.hosts(leading_to)
        if after.profile.is_router:
            meant = _with_aliases(hosts | rules_hosts, mesh.registry)
            return cls(frozenset(facts), hosts=meant, leading=_leading(meant, mesh))
        # By labels, a host may now have a different one of its DestinationRules.
        facts.update(map(Meant, difference.destination_hosts))
        return _calls(facts, before, after, mesh, hosts, rules_hosts, None)

    @classmethod
    def apart(
        cls,
        one: SidecarScope,
        other: SidecarScope,
        rules: Iterable[VirtualServiceRule],
        destination_hosts: frozenset[str],
        mesh: Mesh,
    ) -> ScopeDifference:
        """Compare the scopes of two profiles in one snapshot. They differ only by `rules` and the
        DestinationRules of `destination_hosts`."""
        rules = frozenset(filter(other.imports, rules))
        if not rules and not destination_hosts:
            return NOTHING_DIFFERS
        served = filter(None, map(other.service, destination_hosts))
        facts: set[Fact] = {Served(service.key) for service in served}
        return _calls(facts, one, other, mesh, _NO_HOSTS, destination_hosts, rules)

    def services_of(self, fact: type[Served] | type[Pool]) -> frozenset[ServiceKey]:
        """Return the services whose facts of that type differ; only resources of a service read its fact."""
        return frozenset([each.service for each in self.facts if isinstance(each, fact)])

    @property
    def found_from(self) -> frozenset[Fact]:
        """The facts from which the difference of two profiles was found."""
        hosts = self.hosts.union(*(rule.hosts for rule in self.rules | self.leading))
        return frozenset([*map(Meant, hosts), *map(LeadingTo, self.hosts)])

    @property
    def called(self) -> set[int]:
        """The ports whose called services differ, including ports that had no service and so no reader."""
        return {fact.number for fact in self.facts if isinstance(fact, Called)}

    @property
    def routed(self) -> list[Routed]:
        """The ports of egress listeners whose HTTP routes may differ."""
        return [fact for fact in self.facts if isinstance(fact, Routed)]


NOTHING_DIFFERS: Final = ScopeDifference(frozenset())


class _Rechosen:
    """The services and hosts that get a different DestinationRule, as those of `hosts` changed."""

    def __init__(self, before: SidecarScope, after: SidecarScope, hosts: frozenset[str]) -> None:
        self._before = before
        self._after = after
        self._exact = [host for host in hosts if not is_wildcard(host)]
        self._wildcards = [host for host in hosts if is_wildcard(host)]
        self._services = self._under(after)
        self.served: list[ServiceKey] = [service.key for service in self._services]

    def hosts(self, destinations: Iterable[str]) -> frozenset[str]:
        """Return the hosts of services, and of those `destinations` that are not services."""
        after = self._after
        found = {service.hostname for service in self._services}
        names = set(self._exact)
        for egress in after.egress_listeners:
            # Listeners may have different services with one hostname.
            if egress.services is not after.services:
                found.update(service.hostname for service in self._under(egress))
        if self._wildcards:
            names.update([host for host in destinations if self._covers(after.destination_host(host))])
        found.update(filter(self._differs, names))
        return frozenset(found)

    def _under(self, holder: SidecarScope | EgressListener) -> list[Service]:
        services = set(filter(None, map(holder.service, self._exact)))
        if self._wildcards:
            services.update(service for service in holder.services if self._covers(service.hostname))
        return [service for service in services if self._differs(service)]

    def _covers(self, host: str) -> bool:
        return any(matches(wildcard, host) for wildcard in self._wildcards)

    def _differs(self, service: Service | str) -> bool:
        return self._before.destination_rule(service) is not self._after.destination_rule(service)


def _calls(
    facts: set[Fact],
    before: SidecarScope,
    after: SidecarScope,
    mesh: Mesh,
    services: frozenset[str],
    rechosen: frozenset[str],
    apart: frozenset[VirtualServiceRule] | None,
) -> ScopeDifference:
    """Return the difference of two scopes with the same Sidecar: `facts`, and the facts about where calls go.

    `services` differ, `rechosen` hosts have a different DestinationRule. `apart` are the rules that apply to
    only one of two profiles; None if both scopes have one profile.
    """
    hosts = _with_aliases(services | rechosen, mesh.registry)
    leading = frozenset(filter(after.imports, _leading(hosts, mesh)))
    rules: set[VirtualServiceRule] = set()
    pairs = zip(before.egress_listeners, after.egress_listeners, strict=True)
    for position, (was, now) in enumerate(pairs):
        listener = _Listener(position, was, now, mesh.registry)
        differing = listener.differing() if apart is None else set(filter(now.imports, apart))
        rules |= differing
        facts.update(listener.called())
        facts.update(listener.l4_rules(differing))
        facts.update(listener.routed(rechosen, [*differing, *filter(now.imports, leading - differing)]))
        facts.update(map(Meant, listener.wildcards_over(hosts)))
    facts.update(map(Meant, hosts))
    if apart is None:
        facts.update([LeadingTo(host) for rule in rules for host in rule.destination_hosts])
    return ScopeDifference(frozenset(facts), services, hosts, frozenset(rules), leading - rules)


def _with_aliases(hosts: frozenset[str], registry: Registry) -> frozenset[str]:
    of = registry.aliases.of
    return hosts.union(*(of[host] for host in hosts & of.keys()) if of else ())


def _leading(hosts: Iterable[str], mesh: Mesh) -> frozenset[VirtualServiceRule]:
    """Return all rules that route to one of `hosts`."""
    leading_to = mesh.virtual_service_index.leading_to
    return frozenset(chain.from_iterable(map(leading_to.get, hosts)))


class _Listener:
    """An egress listener before and after."""

    def __init__(
        self, position: int, before: EgressListener, after: EgressListener, registry: Registry
    ) -> None:
        self._position = position
        self._before = before
        self._after = after
        self._registry = registry
        self._gone, self._come = before.services.differing(after.services)

    def differing(self) -> set[VirtualServiceRule]:
        """Return the rules that were added or removed."""
        gone, come = self._before.virtual_services.differing(self._after.virtual_services)
        return gone | come

    def called(self) -> Iterator[Fact]:
        """Yield the facts about called services that differ for listeners."""
        gone, come, after = self._gone, self._come, self._after
        if after.port is not None:
            if gone or come:
                yield Imported(self._position)
            return
        for number in {port.number for service in (*gone, *come) for port in service.ports}:
            old, new = self._before.by_port.get(number, ()), after.by_port.get(number, ())
            if old[:1] != new[:1] or not (
                all_alike(gone, number) and all_alike(after.services_on(number), number)
            ):
                yield Called(self._position, number)

    def l4_rules(self, rules: Iterable[VirtualServiceRule]) -> Iterator[Fact]:
        """Yield the facts of hosts whose TCP or TLS rules differ."""
        for rule in rules:
            if rule.tcp or rule.tls:
                for host in rule.hosts:
                    yield Rules(host)
                    if is_wildcard(host):
                        yield from (Rules(service.hostname) for service in self._under(host))

    def routed(self, rechosen: Iterable[str], rules: Iterable[VirtualServiceRule]) -> Iterator[Fact]:
        """Yield the ports whose HTTP routes may differ: those of services that were added or removed or have
        a different DestinationRule, and of all services that the hosts of `rules` cover. Unregistered hosts
        are on port 80 too."""
        after = self._after
        numbers = _numbers(chain(self._gone, self._come, filter(None, map(after.service, rechosen))))
        for rule in rules:
            numbers.add(DEFAULT_HTTP_PORT)
            for host in rule.hosts:
                numbers |= _numbers(self._under(host))
        if numbers:
            yield Routed(self._position, ANY_PORT)
            yield from (Routed(self._position, number) for number in numbers)

    def wildcards_over(self, hosts: Iterable[str]) -> set[str]:
        """Return the wildcards of VirtualServices that cover one of `hosts`."""
        return {wildcard for host in hosts for wildcard in self._after.wildcards_over(host)}

    def _under(self, host: str) -> Iterator[Service]:
        """Yield the services that a host covers."""
        names = [name for name, _ in self._registry.hosts.under(host)] if is_wildcard(host) else [host]
        return filter(None, map(self._after.service, names))


def _numbers(services: Iterable[Service]) -> set[int]:
    return {
        port.number for service in services for port in service.ports if port.protocol is not Protocol.UDP
    }
