"""Assigns the virtual hosts of a port: which VirtualService or service has a name, and which owns a domain.

The first candidate for a name gets it. A virtual host gets a domain if no virtual host before it wants it.
Both are decided for one name or one domain at a time: an incremental update decides again only what a change
may concern, and a port is built from nothing by the same decisions for all names and domains. The content of
routes does not matter here. Source: Istio's pilot/pkg/networking/core/httproute.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from operator import is_
from sys import intern
from typing import TYPE_CHECKING, Any, Final

from mizzen.mesh.hosts import HostIndex, is_wildcard
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.domains import (
    Domains,
    NamesKnownAs,
    domain_name,
    service_domains,
    unregistered_host_domains,
)
from mizzen.mesh.service import Service
from mizzen.persistent import LayeredDict

if TYPE_CHECKING:
    from mizzen.mesh.scope.egress_listener import EgressListener

ANY_PORT: Final = 0
"""The listen port of an HTTP proxy or a unix socket: requests name their port themselves."""
DEFAULT_HTTP_PORT: Final = 80

Contributes = Callable[[VirtualServiceRule], bool]
"""Returns True if a VirtualService has a route on the port. One without routes still keeps wildcards from
owning services that it names more specifically."""


@dataclass(frozen=True, slots=True, eq=False)
class VirtualHost:
    """A virtual host without its routes. One that owns no domain still has its name, but is not served.

    `rule` is the VirtualService to which it belongs, None where a service is routed by default. `service` is
    None for an unregistered host: a host of a VirtualService that is no service.
    """

    name: str
    port: int
    service: Service | None
    rule: VirtualServiceRule | None
    domains: tuple[str, ...] = ()

    def claims_as(self, other: VirtualHost) -> bool:
        """Return True if both are for the same service and VirtualService, on the same port."""
        return self.rule is other.rule and self.service is other.service and self.port == other.port


class VirtualHosts:
    """The virtual hosts of a port, immutable. No domain belongs to two of them.

    `by_host` has the virtual hosts of each host: one for each of its ports. `by_domain` has the host that
    wants each domain, or the hosts if there are several; `contested` has only these.
    """

    __slots__ = ("__weakref__", "by_domain", "by_host", "contested")

    def __init__(
        self,
        by_host: LayeredDict[str, tuple[VirtualHost, ...]],
        by_domain: LayeredDict[str, str | tuple[str, ...]],
        contested: LayeredDict[str, tuple[str, ...]],
    ) -> None:
        self.by_host = by_host
        self.by_domain = by_domain
        self.contested = contested

    def served(self, host: str) -> list[VirtualHost]:
        """Return the virtual hosts of a host that own a domain."""
        return [each for each in self.by_host.get(host, ()) if each.domains]

    def owner(self, domain: str) -> VirtualHost | None:
        """Return the virtual host that owns a domain, or None."""
        wanting = (each for host in _hosts(self.by_domain.get(domain, ())) for each in self.by_host[host])
        return next((each for each in wanting if domain in each.domains), None)

    def hosts_of(self, rules: AbstractSet[VirtualServiceRule]) -> set[str]:
        """Return a superset of the hosts whose virtual hosts belong to one of `rules`."""
        found = {host for rule in rules for host in rule.hosts}
        if any(map(is_wildcard, found)):
            found.update(
                host for host, held in self.by_host.items() if any(each.rule in rules for each in held)
            )
        return found

    def with_rivals(self, names: set[str]) -> set[str]:
        """Return `names`, and the hosts that want a domain which one of the hosts among `names` wants too."""
        rivals = [wanting for wanting in self.contested.values() if not names.isdisjoint(wanting)]
        return names.union(*rivals)

    def serving(self, rules: AbstractSet[VirtualServiceRule]) -> set[VirtualServiceRule]:
        """Return the rules, of those given, that a virtual host that is served belongs to."""
        found = {
            rule
            for rule in rules
            if any(each.rule is rule for host in rule.hosts for each in self.served(host))
        }
        wild = {rule for rule in rules if any(map(is_wildcard, rule.hosts))} - found
        for each in chain.from_iterable(self.by_host.values()) if wild else ():
            if each.rule in wild and each.domains:
                found.add(each.rule)
                wild.discard(each.rule)
                if not wild:
                    break
        return found


NO_VIRTUAL_HOSTS: Final = VirtualHosts(LayeredDict(), LayeredDict(), LayeredDict())


class VirtualHostsChange:
    """One update of the virtual hosts of a port.

    `names` says by which names the proxies know services. `listener` has the services and rules,
    `contributes` says which VirtualServices have a route on the port.
    """

    def __init__(
        self,
        before: VirtualHosts,
        port: int,
        names: NamesKnownAs,
        listener: EgressListener,
        contributes: Contributes,
    ) -> None:
        self._before = before
        self._port = port
        self._names = names
        self._listener = listener
        self._contributes = contributes
        self._hosts = before.by_host.edit()
        self._wanted = before.by_domain.edit()
        self._contested = before.contested.edit()
        self._domains: dict[tuple[Service | str, int], Domains] = {}
        self._owners: dict[str, VirtualHost | None] = {}
        self._unregistered_host_ports: dict[VirtualServiceRule, tuple[int, ...]] = {}
        self._positions: dict[VirtualServiceRule, dict[str, int]] = {}

    def made(self, services: Iterable[str], rules: Iterable[VirtualServiceRule]) -> VirtualHosts:
        """Return the virtual hosts after `services` (by hostname) and `rules` were added, removed or changed,
        or began or ceased to contribute. The result equals virtual hosts made from nothing.

        Unchanged virtual hosts keep their objects; if all are unchanged, the previous object is returned.
        """
        contested: set[str] = set()
        unsettled: dict[str, None] = {}
        for host in self.concerned(services, rules):
            before, now = self._hosts.get(host, ()), self._claims(host)
            if len(before) == len(now) and all(map(VirtualHost.claims_as, before, now)):
                continue
            if now:
                self._hosts.put(host, now)
            else:
                self._hosts.discard(host)
            shared = self._put_wanted(host, before, now)
            if shared or self._port == ANY_PORT:
                unsettled[host] = None
                contested |= shared
        for domain in contested:
            unsettled.update(dict.fromkeys(_hosts(self._wanted.get(domain, ()))))
        for host in unsettled:
            self._settle(host)
        by_host, by_domain = self._hosts.finish(), self._wanted.finish()
        same = by_host is self._before.by_host and by_domain is self._before.by_domain
        return self._before if same else VirtualHosts(by_host, by_domain, self._contested.finish())

    def concerned(self, services: Iterable[str], rules: Iterable[VirtualServiceRule]) -> Iterable[str]:
        """Return the hosts whose virtual hosts may change: changed hosts, hosts of changed rules, and all
        hosts of the rules over a changed service, as unregistered hosts are only on ports of services."""
        moved = dict.fromkeys(services)
        hosts = dict(moved)
        for rule in rules:
            for host in rule.hosts:
                hosts[host] = None
                if is_wildcard(host):
                    hosts.update(dict.fromkeys(name for name, _ in self._services.under(host)))
        for host in tuple(hosts):
            if host in moved or self._service(host) is not None:
                for rule in self._listener.rules_matching(host):
                    hosts.update(dict.fromkeys(rule.hosts))
        return hosts

    def _claims(self, host: str) -> tuple[VirtualHost, ...]:
        """Return the virtual hosts with the names `host:port`, with all domains that they want.
        VirtualServices come before services without an owner; of several VirtualServices the first wins."""
        service = self._service(host)
        if service is None:
            unregistered_hosts = self._unregistered(host)
            return tuple([self._claim(host, at, None, unregistered_hosts[at]) for at in unregistered_hosts])
        rule = self._owning_rule(host)
        if rule is None and service.is_alias:
            return ()
        return tuple([self._claim(host, at, service, rule) for at in self._http_ports(service)])

    def _claim(
        self, host: str, port: int, service: Service | None, rule: VirtualServiceRule | None
    ) -> VirtualHost:
        # Most namespaces have the same virtual hosts: interning keeps each name in memory once.
        name = intern(domain_name(host, port))
        return VirtualHost(name, port, service, rule, self._offered(host, port, service).domains)

    def _unregistered(self, host: str) -> Mapping[int, VirtualServiceRule]:
        """Return, by port, the VirtualServices that own an unregistered host. A wildcard that matches a
        service gives no unregistered host."""
        naming = [rule for rule in self._listener.rules_named(host) if self._contributes(rule)]
        found: dict[int, VirtualServiceRule] = {}
        if naming and not (is_wildcard(host) and any(self._services.matching(host))):
            for rule in naming:
                for port in self._ports_of(rule):
                    found.setdefault(port, rule)
        return found

    def _ports_of(self, rule: VirtualServiceRule) -> Iterable[int]:
        """Return the ports of a VirtualService's unregistered hosts: the ports of services that it owns or
        names, and always port 80, as in Istio."""
        if self._port == DEFAULT_HTTP_PORT:
            return (DEFAULT_HTTP_PORT,)
        found = self._unregistered_host_ports.get(rule)
        if found is None:
            services = (each for host in rule.hosts for each in self._services_of(rule, host))
            ports = (port for service in services for port in self._http_ports(service))
            found = tuple(dict.fromkeys(ports if self._port == ANY_PORT else islice(ports, 1)))
            self._unregistered_host_ports[rule] = found
        return found

    def _services_of(self, rule: VirtualServiceRule, host: str) -> Iterator[Service]:
        if is_wildcard(host):
            under = self._services.under(host)
            yield from (each for hostname, each in under if self._owning_rule(hostname) is rule)
        elif (service := self._service(host)) is not None:
            yield service

    def _owning_rule(self, hostname: str) -> VirtualServiceRule | None:
        """Return the VirtualService that owns a service: the first that names it and contributes. If none
        names it, the one with the most specific wildcard (the first of equals), if that one contributes."""
        named = () if is_wildcard(hostname) else self._listener.rules_named(hostname)
        if named:
            return next(filter(self._contributes, named), None)
        widest = self._listener.virtual_service_of(hostname)
        return widest if widest is not None and self._contributes(widest) else None

    def _put_wanted(
        self, host: str, before: Iterable[VirtualHost], now: Iterable[VirtualHost]
    ) -> AbstractSet[str]:
        """Replace the domains that the virtual hosts of a host wanted by those that they want now. Return the
        different hosts that want one of all these domains too."""
        gone = {domain for each in before for domain in self._offered_by(host, each).domains}
        come = dict.fromkeys(chain.from_iterable([each.domains for each in now]))
        shared: set[str] = set()
        for domain in gone.difference(come):
            left = tuple(each for each in _hosts(self._wanted[domain]) if each != host)
            if left:
                shared.add(domain)
                self._want(domain, left)
            else:
                self._wanted.discard(domain)
        for domain in come:
            wanting = self._wanted.setdefault(domain, host)
            if wanting != host:
                shared.add(domain)
                if domain not in gone:
                    self._want(domain, (*_hosts(wanting), host))
        return shared

    def _want(self, domain: str, hosts: tuple[str, ...]) -> None:
        if len(hosts) == 1:
            self._wanted.put(domain, hosts[0])
            self._contested.discard(domain)
        else:
            self._wanted.put(domain, hosts)
            self._contested.put(domain, hosts)

    def _settle(self, host: str) -> None:
        """Assign to the virtual hosts of a host the domains that they own."""
        claims = self._hosts.get(host)
        if claims is None:
            return
        known = self._before.by_host.get(host, ())
        settled = tuple([self._with_domains(host, each, known) for each in claims])
        same = len(known) == len(settled) and all(map(is_, known, settled))
        self._hosts.put(host, known if same else settled)

    def _with_domains(self, host: str, claim: VirtualHost, known: Iterable[VirtualHost]) -> VirtualHost:
        offered = self._offered_by(host, claim).domains
        kept = tuple([domain for domain in offered if self._owns(domain, host, claim)])
        if self._port == ANY_PORT and claim.port != DEFAULT_HTTP_PORT:
            # Only for port 80 may a client leave the port out.
            named = f":{claim.port}"
            kept = tuple([domain for domain in kept if domain.endswith(named)])
        for each in known:
            if each.claims_as(claim) and each.domains == kept:
                return each
        domains = offered if len(kept) == len(offered) else kept
        return VirtualHost(claim.name, claim.port, claim.service, claim.rule, domains)

    def _owns(self, domain: str, host: str, claim: VirtualHost) -> bool:
        if self._wanted[domain] == host and self._port != ANY_PORT:
            return True
        if domain not in self._owners:
            wanting = [
                (self._rank(other, each), each)
                for other in _hosts(self._wanted[domain])
                for each in self._hosts[other]
                if self._wants(domain, other, each)
            ]
            self._owners[domain] = min(wanting, key=lambda each: each[0])[1] if wanting else None
        owner = self._owners[domain]
        return owner is not None and owner.name == claim.name

    def _wants(self, domain: str, host: str, claim: VirtualHost) -> bool:
        """Return True if a virtual host wants a domain, unless the domain is the own name of a service."""
        offered = self._offered_by(host, claim)
        if domain not in offered.domains:
            return False
        service = self._service(domain) if domain in offered.derived else None
        return service is None or service.is_alias or not self._http_ports(service)

    def _rank(self, host: str, claim: VirtualHost) -> tuple[Any, ...]:
        """Return the sort key by which virtual hosts get shared domains: those of VirtualServices first, then
        those on port 80 where ports are distinguished, then older ones."""
        rule, service = claim.rule, claim.service
        late = self._port == ANY_PORT and claim.port != DEFAULT_HTTP_PORT
        if rule is None:
            assert service is not None
            return (True, late, service.precedence, self._http_ports(service).index(claim.port))
        place = (False, late, self._listener.precedence(rule), claim.port)
        at = self._position(rule, host)
        if service is not None and (is_wildcard(host) or at is None):
            return (*place, 2, service.precedence)
        return (*place, int(service is not None), at)

    def _position(self, rule: VirtualServiceRule, host: str) -> int | None:
        """Return the first index of a host among the hosts of a rule, or None."""
        positions = self._positions.get(rule)
        if positions is None:
            positions = self._positions[rule] = {}
            for at, each in enumerate(rule.hosts):
                positions.setdefault(each, at)
        return positions.get(host)

    def _offered_by(self, host: str, claim: VirtualHost) -> Domains:
        return self._offered(host, claim.port, claim.service)

    def _offered(self, host: str, port: int, service: Service | None) -> Domains:
        suffix = port if self._port == ANY_PORT else 0
        key = (host if service is None else service, suffix)
        found = self._domains.get(key)
        if found is None:
            found = self._domains[key] = (
                unregistered_host_domains(host, suffix)
                if service is None
                else service_domains(service, suffix, self._names)
            )
        return found

    def _http_ports(self, service: Service) -> list[int]:
        """Return the ports of a service on which it has virtual hosts."""
        return [
            port.number
            for port in service.ports
            if self._port in (ANY_PORT, port.number) and (port.protocol.is_http or port.protocol.is_auto)
        ]

    def _service(self, hostname: str) -> Service | None:
        return self._listener.service_called(hostname, self._port)

    @cached_property
    def _services(self) -> HostIndex[Service]:
        """The services of the port, for wildcards."""
        return HostIndex({each.hostname: each for each in self._listener.services_called(self._port)})


def _hosts(wanting: str | tuple[str, ...]) -> tuple[str, ...]:
    return (wanting,) if isinstance(wanting, str) else wanting
