"""The scope of one kind of proxy: the services, VirtualServices and DestinationRules that it sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mizzen.config import models
from mizzen.mesh.hosts import HostIndex
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.destination_rules import (
    DestinationRuleIndex,
    MergedDestinationRule,
    rule_for_client,
)
from mizzen.mesh.rules.virtual_service_index import Rules, VirtualServiceIndex
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.scope.egress_imports import (
    EgressHosts,
    Trimmer,
    best_service,
    destination_services,
    import_services,
    import_virtual_services,
    port_to_match,
)
from mizzen.mesh.scope.egress_listener import EgressListener
from mizzen.mesh.scope.sidecars import SidecarConfig
from mizzen.mesh.scope.visible_services import VisibleServices
from mizzen.mesh.service import Service
from mizzen.mesh.services.registry import Registry
from mizzen.mesh.settings import MeshSettings
from mizzen.persistent import ChunkedSequence, LayeredDict


@dataclass(frozen=True, slots=True, eq=False)
class ScopeBase:
    """What all proxies of one namespace with one Sidecar see. The scopes of their profiles share it.

    `only_routed` are services that only rules route to, if no egress listener is declared."""

    namespace: str
    sidecar: SidecarConfig | None
    services: ChunkedSequence[Service]
    by_host: Mapping[str, Service]
    egress_listeners: tuple[EgressListener, ...]
    virtual_services: Rules
    trims: dict[tuple[object, ...], Service] = field(default_factory=dict)
    only_routed: tuple[Service, ...] = ()


def gateway_base(visible: VisibleServices, index: VirtualServiceIndex, known: ScopeBase | None) -> ScopeBase:
    """Return what gateways of a namespace see: all services exported to it, and no rules for sidecars."""
    if known is not None and known.services is visible.services:
        return known
    none: Rules = ChunkedSequence()
    listener = EgressListener(None, visible.services, none, visible.namespace, index, visible)
    return ScopeBase(visible.namespace, None, visible.services, visible.by_host, (listener,), none)


def sidecar_base(
    namespace: str,
    sidecar: SidecarConfig | None,
    visible: Callable[[], VisibleServices],
    registry: Registry,
    index: VirtualServiceIndex,
    known: ScopeBase | None,
) -> ScopeBase:
    """Return what sidecars of `namespace` with the Sidecar `sidecar` see (None: everything that is visible).

    `visible` returns all that the namespace sees: a Sidecar that imports less does not ask for it.
    `known` is the base of an earlier snapshot: unchanged parts keep their objects, and if all parts are
    unchanged, `known` itself is returned.
    """
    egress = sidecar.spec.egress if sidecar is not None else ()
    if not egress:
        return _whole_base(namespace, sidecar, visible(), index, known)
    trimmer = Trimmer(known.trims if known is not None else None)
    services: dict[str, Service] = {}
    listeners: list[EgressListener] = []
    for position, spec in enumerate(egress):
        before = known.egress_listeners[position] if known is not None else None
        listener = _listener(spec, namespace, visible, registry, index, trimmer, before)
        listeners.append(listener)
        _collect(services, listener, spec, registry.hosts, trimmer)
    return _shared(namespace, sidecar, services, tuple(listeners), trimmer, known)


def _whole_base(
    namespace: str,
    sidecar: SidecarConfig | None,
    visible: VisibleServices,
    index: VirtualServiceIndex,
    known: ScopeBase | None,
) -> ScopeBase:
    """Return what sidecars without declared egress listeners see: everything that is visible, and the hidden
    services of their own namespace to which rules route."""
    rules = index.for_gateway(MESH, namespace)
    trimmer = Trimmer(known.trims if known is not None else None)
    routed = _routed_hidden(visible, rules, trimmer)
    same = (
        known is not None
        and known.egress_listeners[0].services is visible.services
        and known.virtual_services == rules
        and known.only_routed == routed
    )
    if known is not None and same:
        return known
    listener = EgressListener(None, visible.services, rules, namespace, index, visible)
    if not routed:
        return ScopeBase(namespace, sidecar, visible.services, visible.by_host, (listener,), rules)
    services = ChunkedSequence.joined(visible.services, ChunkedSequence(routed))
    by_host = LayeredDict.over(visible.by_host, {service.hostname: service for service in routed})
    return ScopeBase(namespace, sidecar, services, by_host, (listener,), rules, trimmer.made, routed)


def _routed_hidden(visible: VisibleServices, rules: Rules, trimmer: Trimmer) -> tuple[Service, ...]:
    hidden = {
        host: service
        for host, service in visible.hidden.items()
        if host not in visible.by_host and not service.is_alias
    }
    found: dict[str, Service] = {}
    for rule in rules if hidden else ():
        # A fast check first: of ten thousand rules hardly one routes to a hidden service.
        if hidden.keys().isdisjoint(rule.destination_hosts):
            continue
        for host, ports in rule.destinations(visible.namespace).items():
            service = hidden.get(host)
            if service is None:
                continue
            only = service if 0 in ports else trimmer.only(service, ports)
            if only is not None:
                found[host] = trimmer.merged(found[host], only) if host in found else only
    return tuple(found.values())


def _listener(
    spec: models.IstioEgressListener,
    namespace: str,
    visible: Callable[[], VisibleServices],
    registry: Registry,
    index: VirtualServiceIndex,
    trimmer: Trimmer,
    known: EgressListener | None,
) -> EgressListener:
    hosts = EgressHosts.parse(spec.hosts, namespace)
    port = port_to_match(spec)
    rules = import_virtual_services(hosts, index, namespace)
    if hosts.is_everything and not port:
        services = visible().services
    else:
        services = ChunkedSequence(import_services(hosts, registry, namespace, port, trimmer))
    # Sequences are equal only if they have the same objects.
    if known is not None and known.services == services and known.virtual_services == rules:
        return known
    if known is not None and known.services == services:
        services = known.services
    return EgressListener(spec, services, rules, namespace, index)


def _collect(
    services: dict[str, Service],
    listener: EgressListener,
    spec: models.IstioEgressListener,
    registry: HostIndex[tuple[Service, ...]],
    trimmer: Trimmer,
) -> None:
    """Add the services of the listener, then those to which its rules route, without overriding any."""
    for service in listener.services:
        _append(services, service, trimmer)
    port = port_to_match(spec)
    namespace = listener.namespace
    for destination, ports in destination_services(listener.virtual_services, registry, namespace):
        wanted = {port} if port else ports
        found = destination if 0 in wanted else trimmer.only(destination, wanted)
        if found is not None:
            _append(services, found, trimmer)


def _append(services: dict[str, Service], service: Service, trimmer: Trimmer) -> None:
    """Add `service` to `services`. If they have its hostname already, the ports are joined, or the first
    service stays (Istio's SidecarScope.appendSidecarServices)."""
    existing = services.get(service.hostname)
    if existing is None or (service.from_kubernetes and not existing.from_kubernetes):
        services[service.hostname] = service
    elif existing is not service and existing.namespace == service.namespace:
        services[service.hostname] = trimmer.merged(existing, service)


def _shared(
    namespace: str,
    sidecar: SidecarConfig | None,
    services: dict[str, Service],
    listeners: tuple[EgressListener, ...],
    trimmer: Trimmer,
    known: ScopeBase | None,
) -> ScopeBase:
    rules: Rules = ChunkedSequence(
        dict.fromkeys(rule for listener in listeners for rule in listener.virtual_services)
    )
    found = ChunkedSequence(services.values())
    by_host: Mapping[str, Service] = services
    if known is not None and known.services == found:
        found, by_host = known.services, known.by_host
        if known.egress_listeners == listeners and known.virtual_services == rules:
            return known
    return ScopeBase(namespace, sidecar, found, by_host, listeners, rules, trimmer.made)


_Chosen = dict[tuple[str, str], MergedDestinationRule | None]

_ASKED_FOR: Final = 4
"""Cached DestinationRules for each service; more of them would include those of removed services."""


class SidecarScope:
    """What the proxies of one profile see of the mesh. Hashed by identity.

    `services` are the imported services, one for each hostname: oldest first, and after them those that only
    VirtualServices route to. For a router they are all services exported to its namespace.
    """

    def __init__(
        self,
        profile: OutboundProfile,
        base: ScopeBase,
        registry: HostIndex[tuple[Service, ...]],
        rules: DestinationRuleIndex,
        settings: MeshSettings,
        before: SidecarScope | None = None,
    ) -> None:
        self.profile = profile
        self.base = base
        self.services = base.services
        self.egress_listeners = base.egress_listeners
        self.virtual_services = base.virtual_services
        self.sidecar = base.sidecar
        policy = base.sidecar.spec.outbound_traffic_policy if base.sidecar is not None else None
        self.outbound_traffic_policy: str = str(
            policy.mode if policy is not None else settings.mesh_config.outbound_traffic_policy.mode
        )
        self.egress_proxy = policy.egress_proxy if policy is not None else None
        self._registry = registry
        self._rules = rules
        self._labels = dict(profile.labels)
        self._chosen = self._still_chosen(before) if before is not None else {}

    def service(self, hostname: str) -> Service | None:
        """Return the imported service of that hostname, or None."""
        return self.base.by_host.get(hostname)

    def destination_service(self, hostname: str) -> Service | None:
        """Return the service that a rule's destination means: the imported one, else the one in the own
        namespace, else the best visible one."""
        service = self.service(hostname)
        if service is not None:
            return service
        return best_service(self._registry.get(hostname) or (), self.profile.namespace)

    def destination_host(self, hostname: str) -> str:
        """Return the host whose clusters a destination means: for an alias, the host that it stands for."""
        service = self.destination_service(hostname)
        return service.alias_of if service is not None and service.is_alias else hostname

    def destination(self, hostname: str) -> tuple[str, MergedDestinationRule | None]:
        """Return the host whose clusters a destination means, and the DestinationRule that applies to it."""
        service = self.destination_service(hostname)
        if service is not None and service.is_alias:
            hostname = service.alias_of
            service = self.destination_service(hostname)
        return hostname, self._destination_rule(hostname, service.namespace if service is not None else "")

    def destination_rule(self, service: Service | str) -> MergedDestinationRule | None:
        """Return the DestinationRule that applies to a service or hostname, or None."""
        if isinstance(service, str):
            return self.destination(service)[1]
        return self._destination_rule(service.hostname, service.namespace)

    def _destination_rule(self, host: str, namespace: str) -> MergedDestinationRule | None:
        key = (host, namespace)
        if key not in self._chosen:
            client = self.profile.namespace
            rules = self._rules.rules_for(client, host, namespace)
            self._chosen[key] = rule_for_client(rules, client, self._labels)
        return self._chosen[key]

    def _still_chosen(self, before: SidecarScope) -> _Chosen:
        """Return the DestinationRules that an earlier scope of the profile found and that are still valid."""
        few = len(before._chosen) <= _ASKED_FOR * len(self.services) + _ASKED_FOR
        return before._chosen if few and before._rules is self._rules else {}

    def imports(self, rule: VirtualServiceRule) -> bool:
        """Return True if the rule is for sidecars, and imported."""
        return MESH in rule.gateways and any(egress.imports(rule) for egress in self.egress_listeners)

    def egress_listener_for(self, port: int, bind: str = "") -> EgressListener | None:
        """Return the listener that serves a port (0: a unix socket, by `bind`): the one with the port, else
        the one without a port (Istio's GetEgressListenerForRDS)."""
        for listener in self.egress_listeners:
            if listener.port is None:
                return listener
            if listener.port.number == port and (port != 0 or listener.bind == bind):
                return listener
        return None

    def is_current(
        self, base: ScopeBase, registry: HostIndex[tuple[Service, ...]], rules: DestinationRuleIndex
    ) -> bool:
        """Return True if no part of the scope has changed."""
        return self.base is base and self._registry is registry and self._rules is rules
