"""One egress listener of a sidecar: its services, its VirtualServices, and the virtual hosts of its ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain
from weakref import WeakValueDictionary

from mizzen.config import models
from mizzen.config.document import ConfigKey
from mizzen.mesh.hosts import is_wildcard
from mizzen.mesh.rules.virtual_service_index import HostRules, Rules, VirtualServiceIndex, precedence
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.domains import NamesKnownAs
from mizzen.mesh.scope.virtual_hosts import (
    ANY_PORT,
    DEFAULT_HTTP_PORT,
    NO_VIRTUAL_HOSTS,
    Contributes,
    VirtualHosts,
    VirtualHostsChange,
)
from mizzen.mesh.scope.visible_services import ServicesByPort, VisibleServices, services_by_port
from mizzen.mesh.service import Service
from mizzen.mesh.settings import Creation
from mizzen.mesh.visibility import is_visible
from mizzen.persistent import ChunkedSequence, LayeredDict

_VirtualHostsKey = tuple[int, NamesKnownAs, frozenset[VirtualServiceRule]]


class EgressListener:
    """One egress listener: what its clients may call, and the rules for it. Hashed by identity.

    `port` None stands for all ports without a listener of their own. `services` are oldest first and trimmed
    to the port; `virtual_services` are in the order in which they are tried. Without a `listener`, they are
    all that the namespace sees, or none.
    """

    def __init__(
        self,
        listener: models.IstioEgressListener | None,
        services: ChunkedSequence[Service],
        virtual_services: Rules,
        namespace: str,
        index: VirtualServiceIndex,
        known: VisibleServices | None = None,
    ) -> None:
        self.port = listener.port if listener is not None else None
        self.bind = listener.bind if listener is not None else ""
        self.capture_mode = str(listener.capture_mode) if listener is not None else "DEFAULT"
        self.services = services
        self.virtual_services = virtual_services
        self.namespace = namespace
        self._index = index
        self._known_by_port = known.by_port if known is not None else None
        self._known_by_host = known.by_host if known is not None else None
        self._sees_all = listener is None and bool(virtual_services)
        self._virtual_hosts: WeakValueDictionary[_VirtualHostsKey, VirtualHosts] = WeakValueDictionary()

    @cached_property
    def by_port(self) -> ServicesByPort:
        """The services by port number, oldest first; UDP ports do not count."""
        return services_by_port(self.services) if self._known_by_port is None else self._known_by_port

    @cached_property
    def _imported(self) -> frozenset[VirtualServiceRule]:
        return frozenset(self.virtual_services)

    def imports(self, rule: VirtualServiceRule) -> bool:
        """Return True if a rule for sidecars is among `virtual_services`."""
        return is_visible(rule.seen_by, self.namespace) if self._sees_all else rule in self._imported

    def wildcards_over(self, host: str) -> Iterator[str]:
        """Yield the wildcards of rules that cover `host`, also of rules that are not imported."""
        return (name for name, _ in self._index.covering(host) if is_wildcard(name))

    @cached_property
    def _by_host(self) -> Mapping[str, Service]:
        known = self._known_by_host
        return {service.hostname: service for service in self.services} if known is None else known

    def service(self, hostname: str) -> Service | None:
        """Return the service of that hostname, or None if the listener does not import it."""
        return self._by_host.get(hostname)

    def services_on(self, number: int) -> list[Service]:
        """Return the services that have a port, oldest first; UDP ports do not count. Unlike in `by_port`,
        several declarations of a host count as one service."""
        return [self._by_host[service.hostname] for service in self.by_port.get(number, ())]

    def services_called(self, port: int) -> Iterable[Service]:
        """Return the services that decide how HTTP is called on a port, one for each hostname; for ANY_PORT,
        those of all ports."""
        return self.services if port == ANY_PORT else self.by_port.get(port, ())

    def service_called(self, hostname: str, port: int) -> Service | None:
        """Return the service with this hostname among `services_called`, or None."""
        service = self._by_host.get(hostname)
        if service is None or port == ANY_PORT:
            return service
        return service.called_by_http(port) if service.is_called_on(port) else None

    def virtual_services_for(self, hostname: str) -> HostRules:
        """Return all rules with a host that covers `hostname`, in the order in which they are tried."""
        return self._in_order(chain.from_iterable(rules for _, rules in self._index.covering(hostname)))

    def rules_named(self, host: str) -> HostRules:
        """Return the rules with exactly this host, in the order in which they are tried."""
        return self._in_order(self._index.mesh_hosts.get(host) or ())

    def rules_matching(self, host: str) -> Iterator[VirtualServiceRule]:
        """Yield the rules with a host that covers `host` or is covered by it; rules may come twice."""
        hosts = self._index.mesh_hosts
        for _, rules in hosts.matching(host) if is_wildcard(host) else hosts.covering(host):
            yield from filter(self.imports, rules)

    @property
    def labelled_rules(self) -> LayeredDict[ConfigKey, VirtualServiceRule]:
        """The rules that match labels of the client, including rules that are not imported."""
        return self._index.labelled

    def _in_order(self, rules: Iterable[VirtualServiceRule]) -> HostRules:
        found = tuple(filter(self.imports, rules))
        return found if len(found) < 2 else tuple(sorted(set(found), key=self.precedence))

    def precedence(self, rule: VirtualServiceRule) -> tuple[int, Creation]:
        """Return the sort key of rules in the order in which they are tried."""
        return precedence(rule, self.namespace)

    def virtual_service_of(self, hostname: str) -> VirtualServiceRule | None:
        """Return the rule that owns the service of `hostname` for HTTP: the rule with the most specific host
        that covers it, and of several the first (Istio's mostSpecificWildcardVsIndex)."""
        for _, rules in self._index.covering(hostname):
            imported = list(filter(self.imports, rules))
            if imported:
                return min(imported, key=self.precedence)
        return None

    def virtual_hosts(
        self,
        port: int,
        names: NamesKnownAs,
        silent: frozenset[VirtualServiceRule],
        contributes: Contributes,
        before: VirtualHosts | None = None,
        services: Iterable[str] = (),
        rules: Iterable[VirtualServiceRule] = (),
    ) -> VirtualHosts:
        """Return the virtual hosts of a port for proxies that know services by `names`. They are made once
        for all classes of proxies of the listener, and cached while one of these classes uses them.

        `contributes` says which rules have routes; `silent` are imported `labelled_rules` without routes for
        this class. `before` are virtual hosts of an earlier listener, with the `services` (by hostname) and
        `rules` that have changed since. Without `before` they are made from nothing.
        """
        key = (port, names, silent)
        found = self._virtual_hosts.get(key)
        if found is None:
            if before is None:
                before = NO_VIRTUAL_HOSTS
                services = [service.hostname for service in self.services_called(port)]
                # Unregistered hosts are on the ports of services that their rule names, and on port 80.
                rules = self.virtual_services if port == DEFAULT_HTTP_PORT else ()
            change = VirtualHostsChange(before, port, names, self, contributes)
            found = self._virtual_hosts[key] = change.made(services, rules)
        return found

    def hosts_concerned(
        self, port: int, names: NamesKnownAs, services: Iterable[str], rules: Iterable[VirtualServiceRule]
    ) -> set[str]:
        """Return the hosts whose virtual hosts on a port a change of `services` and `rules` may concern,
        whichever rules contribute."""
        change = VirtualHostsChange(NO_VIRTUAL_HOSTS, port, names, self, self.imports)
        return set(change.concerned(services, rules))
