"""Outbound listeners of a sidecar: HTTP services share one for each port, other services have one for each
address and port.

Source: Istio's pilot/pkg/networking/core/listener.go (which services share a port, and which is left out),
and "Protocol Selection" of its documentation.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from operator import attrgetter

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.interception import InterceptionMode
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.recorded.scope import RecordedEgressListener, RecordedScope
from mizzen.mesh.service import Protocol, Resolution, Service, ServicePort
from mizzen.translator.base.cluster_names import ALLOW_ANY_DNS_CACHE, dns_cache_name
from mizzen.translator.listeners.filter_chains import (
    ANY_ADDRESSES,
    Chain,
    ChainMatch,
    HttpChain,
    ListenerChains,
)
from mizzen.translator.listeners.http_connection_manager import plaintext_http_protocols
from mizzen.translator.listeners.l4_routes import SidecarL4Routes
from mizzen.translator.listeners.names import listener_name

_RAW_BUFFER = "raw_buffer"
_SERVER_FIRST = frozenset({Protocol.MONGO, Protocol.MYSQL})
"""Protocols in which the server sends first. They share no port with others, because an inspector would wait
for the client's first bytes."""


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """An outbound listener as a plain value. `protocol` is that of the listener as a whole: HTTP, TCP or, if
    it has both, detected. `bind` is an IP, or `unix://path` with port 0."""

    bind: str
    port: int
    bind_to_port: bool
    protocol: Protocol
    chains: tuple[Chain, ...]
    allow_absolute_url: bool = False
    locked: bool = False
    interception_mode: InterceptionMode = "REDIRECT"

    @property
    def name(self) -> str:
        """The listener's name."""
        mode = self.interception_mode
        return listener_name(self.bind, self.port, bound=self.bind_to_port, interception_mode=mode)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The lines of the user's files that this listener comes from."""
        return tuple(dict.fromkeys(origin for chain in self.chains for origin in chain.origins))

    def with_dns_caches(self, names: tuple[str, ...]) -> ListenerSpec:
        """Return the same listener with these caches added to its HTTP chains."""
        chains = tuple(
            replace(chain, dns_caches=tuple(dict.fromkeys((*chain.dns_caches, *names))))
            if isinstance(chain, HttpChain)
            else chain
            for chain in self.chains
        )
        return replace(self, chains=chains)


@dataclass(slots=True, eq=False)
class PortListeners:
    """The listeners of one port by (bind, port), and diagnostics for services that are left out.

    `routed_by` maps the name of a route configuration to the position of the egress listener that gives its
    services and rules.
    """

    specs: dict[tuple[str, int], ListenerSpec] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    routed_by: dict[str, int] = field(default_factory=dict)

    @property
    def route_config_names(self) -> set[str]:
        """The names of the route configurations that the listeners fetch."""
        return {
            chain.route_config_name
            for spec in self.specs.values()
            for chain in spec.chains
            if isinstance(chain, HttpChain)
        }


class OutboundListenerBuilder:
    """Adds the services that a sidecar may call on a port to listeners, oldest first. Each port is
    independent of all other ports."""

    def __init__(
        self,
        scope: RecordedScope,
        mesh_config: MeshConfig,
    ) -> None:
        self._scope = scope
        self._profile: OutboundProfile = scope.profile
        self._mesh_config = mesh_config
        self._wildcard = wildcard_address(self._profile)
        self._http_protocols = tuple(plaintext_http_protocols(self._profile.http10))
        self._result = PortListeners()
        self._skipped: set[str] = set()
        self._position, self._egress = 0, scope.egress_listeners[0]
        self._l4 = SidecarL4Routes(scope, mesh_config, self._profile)
        self._joined: dict[tuple[str, int], ListenerChains] = {}
        self._http_places: dict[tuple[str, int], Service] = {}
        self._proxy_port = self._profile.http_proxy_port or mesh_config.proxy_http_port
        self._common_caches: tuple[str, ...] = ()
        if scope.outbound_traffic_policy == "ALLOW_ANY_DYNAMIC_DNS":
            self._common_caches = (ALLOW_ANY_DNS_CACHE,)

    @property
    def ports(self) -> set[int]:
        """The ports that may have listeners; 0 stands for unix sockets."""
        found = {self._proxy_port} if self._proxy_port else set()
        for egress in self._scope.egress_listeners:
            found.update(egress.numbers if egress.port is None else (egress.port.number,))
        return found

    def build(self, number: int) -> PortListeners:
        """Return all outbound listeners of a port, without virtualOutbound."""
        self._result = PortListeners()
        self._skipped, self._joined, self._http_places = set(), {}, {}
        for position, egress in enumerate(self._scope.egress_listeners):
            self._position, self._egress = position, egress
            if egress.port is None:
                self._implicit(egress, number)
            elif egress.port.number == number:
                self._explicit(egress)
        if number and number == self._proxy_port:
            self._result.routed_by["http_proxy"] = len(self._scope.egress_listeners) - 1
            localhost = "::1" if self._wildcard == "::" else "127.0.0.1"
            self._result.specs[localhost, number] = ListenerSpec(
                localhost,
                number,
                bind_to_port=True,
                protocol=Protocol.HTTP_PROXY,
                chains=(HttpChain("http_proxy", Protocol.HTTP_PROXY, dns_caches=self._common_caches),),
                allow_absolute_url=True,
                interception_mode=self._profile.interception_mode,
            )
        return self._result

    def _explicit(self, egress: RecordedEgressListener) -> None:
        """Add an egress listener with a port of its own: only its services, with the port's protocol."""
        assert egress.port is not None
        port = ServicePort(egress.port.name, egress.port.number, parse_protocol(egress.port.protocol))
        bind, bind_to_port = self._forced_bind(egress)
        for service in _declared(egress.services):
            self._place(service, port, bind, bind_to_port)

    def _implicit(self, egress: RecordedEgressListener, number: int) -> None:
        """Add the egress listener without a port: this port of all its services, on addresses that no
        explicit egress listener uses."""
        for key, spec in self._result.specs.items():
            self._result.specs[key] = replace(spec, locked=True)
        bind, bind_to_port = self._forced_bind(egress)
        for service in _declared(egress.services_on(number)):
            for port in service.ports:
                if port.number != number or port.protocol is Protocol.UDP:
                    continue
                if self._is_served(service, port, bind):
                    continue
                if self._needs_listener_for_each_endpoint(service, port, bind):
                    self._place_endpoints(service, port, bind_to_port)
                else:
                    self._place(service, port, bind, bind_to_port)

    def _is_served(self, service: Service, port: ServicePort, bind: str) -> bool:
        """Return whether the listener of an earlier service already serves this one.

        This is a fast path: most services of a mesh are HTTP on a common port, and only their routes differ.
        """
        return (
            port.protocol.is_http
            and (bind or self._wildcard, port.number) in self._http_places
            and service.resolution is not Resolution.DYNAMIC_DNS
        )

    def _forced_bind(self, egress: RecordedEgressListener) -> tuple[str, bool]:
        bound = egress.capture_mode == "NONE" or self._profile.interception_mode == "NONE"
        bind = egress.bind
        if not bind and bound:
            bind = "::1" if self._wildcard == "::" else "127.0.0.1"
        return bind, bound or bind.startswith("unix://")

    def _cannot_bind(self, service: Service, address: str, number: int, bind_to_port: bool) -> bool:
        """Return whether the proxy cannot listen there. Warn once for each reason and port."""
        profile = self._profile
        own = (
            self._mesh_config.proxy_listen_port,
            self._mesh_config.proxy_inbound_listen_port,
            profile.envoy_status_port,
            profile.envoy_prometheus_port,
        )
        if address == self._wildcard and number in own:
            reason = "the proxy itself listens there; give the service another port"
        elif bind_to_port and profile.unprivileged_pod and 0 < number < 1024:
            reason = "an unprivileged proxy cannot bind it; listen on a port from 1024 on"
        else:
            return False
        if reason not in self._skipped:
            self._skipped.add(reason)
            self._warn(
                "MZ0104", f"port {number} of {service.hostname} gets no listener: {reason}", service.origins
            )
        return True

    def _needs_listener_for_each_endpoint(self, service: Service, port: ServicePort, bind: str) -> bool:
        return (
            not bind
            and (service.resolution is Resolution.NONE or service.headless)
            and not service.addresses
            and not port.protocol.is_http
        )

    def _place_endpoints(self, service: Service, port: ServicePort, bind_to_port: bool) -> None:
        """Give each endpoint a listener of its own, because only its address identifies the service.

        Istio leaves out the proxy's own address. Here proxies with different addresses share these listeners,
        so all get one for each endpoint. The one for the own address does no harm: it binds no port, and
        Envoy hands no connection to it.
        """
        serving = [e for e in self._scope.endpoints(service) if e.port_named(port.name) is not None]
        addresses = [endpoint.address for endpoint in serving if _is_ip(endpoint.address)]
        if not serving and not service.from_kubernetes and service.selector is None:
            self._place(service, port, "", bind_to_port)
        for address in dict.fromkeys(addresses):
            self._place(service, port, address, bind_to_port)

    def _place(self, service: Service, port: ServicePort, bind: str, bind_to_port: bool) -> None:
        if port.protocol.is_http:
            address = bind or self._wildcard
            if not self._cannot_bind(service, address, port.number, bind_to_port):
                self._add_http(service, port, address, bind_to_port)
            return
        for address, cidr, by_name in self._addresses(service, bind):
            if not self._cannot_bind(service, address, port.number, bind_to_port):
                self._add_l4(service, port, address, cidr, bind_to_port, by_name=by_name)

    def _addresses(self, service: Service, bind: str) -> Iterator[tuple[str, str, bool]]:
        """Yield (bind address, CIDR that limits the chain, whether only the SNI identifies TLS) for a service
        that is not HTTP. With a `bind` that the user or the mode asks for, ranges are ignored."""
        addresses = listen_addresses(service, self._profile)
        if bind:
            for in_range in dict.fromkeys("/" in address for address in addresses):
                yield bind, "", in_range or bind in ANY_ADDRESSES
            return
        for address in addresses:
            # The registry writes a range of one address as that address.
            if "/" in address:
                yield self._wildcard, address, True
            else:
                yield address, "", address in ANY_ADDRESSES

    def _spec(
        self, bind: str, port: int, bind_to_port: bool, protocol: Protocol, chains: tuple[Chain, ...]
    ) -> ListenerSpec:
        mode = self._profile.interception_mode
        return ListenerSpec(bind, port, bind_to_port, protocol, chains, interception_mode=mode)

    def _add_http(self, service: Service, port: ServicePort, bind: str, bind_to_port: bool) -> None:
        key = (bind, port.number)
        current = self._result.specs.get(key)
        if current is not None and current.locked:
            return
        caches = self._caches(service)
        name = str(port.number) if port.number else bind
        if current is not None and not current.protocol.is_tcp:
            if not any(isinstance(c, HttpChain) and c.route_config_name == name for c in current.chains):
                self._conflict(service, port, current, "it serves an older service alone")
            elif caches:
                self._result.specs[key] = current.with_dns_caches(caches)
            return
        match, protocol = ChainMatch(), port.protocol
        if bind == self._wildcard and port.protocol is not Protocol.HTTP_PROXY:
            match, protocol = self._detected_http(), Protocol.UNSUPPORTED
        chain = HttpChain(name, port.protocol, match, service.origins, caches)
        self._result.routed_by.setdefault(name, self._router(port.number, bind))
        if current is None:
            self._http_places[key] = service
            self._result.specs[key] = self._spec(bind, port.number, bind_to_port, protocol, (chain,))
        else:
            self._merge(current, service, port, (chain,), Protocol.UNSUPPORTED)

    def _router(self, number: int, bind: str) -> int:
        """Return the position of the egress listener that gives the routes of a port their services and
        rules: as in Istio, the first one with that port, even if it imports nothing."""
        router = self._scope.router(number, bind)
        return self._position if router is None else router

    def _add_l4(
        self,
        service: Service,
        port: ServicePort,
        bind: str,
        cidr: str,
        bind_to_port: bool,
        *,
        by_name: bool,
    ) -> None:
        key = (bind, port.number)
        current = self._result.specs.get(key)
        if current is not None and current.locked:
            return
        rules = self._egress.l4_rules_for(service.hostname)
        own = self._l4.chains(service, port, port.number, cidr, rules, by_name=by_name)
        # An earlier rule of the same service wins over a later one, without a warning.
        chains = ListenerChains.of(own)[0].chains
        if port.protocol.is_auto and current is not None and current.protocol.is_auto:
            # As in Istio, no chain is added: routes separate the HTTP of both services, and all other
            # connections go to the older service.
            if not self._chains_of(current).have_all_of(chains):
                self._taken(service, port, current)
            return
        if port.protocol.is_auto:
            shared = bind == self._wildcard
            name = str(port.number) if shared else f"{service.hostname}:{port.number}"
            position = self._router(port.number, bind) if shared else self._position
            self._result.routed_by.setdefault(name, position)
            match = self._detected_http()
            caches = self._caches(service)
            chains += (HttpChain(name, Protocol.UNSUPPORTED, match, service.origins, caches),)
        if current is None or (port.protocol.is_auto and current.protocol.is_http):
            self._http_places.pop(key, None)
            self._result.specs[key] = self._spec(bind, port.number, bind_to_port, port.protocol, chains)
        else:
            both_tcp = port.protocol.is_tcp and current.protocol.is_tcp
            self._merge(
                current, service, port, chains, current.protocol if both_tcp else Protocol.UNSUPPORTED
            )

    def _merge(
        self,
        current: ListenerSpec,
        service: Service,
        port: ServicePort,
        chains: tuple[Chain, ...],
        protocol: Protocol,
    ) -> None:
        """Add `chains` to a listener, unless a server-first protocol or an equal match prevents it."""
        if port.protocol is not current.protocol and {port.protocol, current.protocol} & _SERVER_FIRST:
            self._conflict(
                service, port, current, f"{current.protocol} shares its port with no other protocol"
            )
            return
        joined, dropped = self._chains_of(current).joined(chains)
        if dropped:
            self._taken(service, port, current)
        key = (current.bind, current.port)
        self._joined[key] = joined
        self._result.specs[key] = replace(current, chains=joined.chains, protocol=protocol)

    def _chains_of(self, current: ListenerSpec) -> ListenerChains:
        """Return the chains of a listener, to which more can be joined."""
        known = self._joined.get((current.bind, current.port))
        if known is None or known.chains is not current.chains:
            known, _ = ListenerChains.of(current.chains)
        return known

    def _taken(self, service: Service, port: ServicePort, current: ListenerSpec) -> None:
        reason = "an older service takes the same connections"
        by_host = port.protocol.is_auto and current.bind == self._wildcard
        self._conflict(service, port, current, f"{reason}, HTTP apart" if by_host else reason)

    def _conflict(self, service: Service, port: ServicePort, current: ListenerSpec, reason: str) -> None:
        others = ", ".join(dict.fromkeys(map(str, current.origins[:3])))
        self._warn(
            "MZ0101",
            f"port {port.number} ({port.protocol}) of {service.hostname} is not reachable on listener "
            f"{current.name}: {reason} (see {others}); give the service an address or another port",
            service.origins,
            current.origins[:3],
        )

    def _warn(
        self, code: str, message: str, origins: tuple[Origin, ...], mentions: tuple[Origin, ...] = ()
    ) -> None:
        origin = origins[0] if origins else Origin("")
        self._result.diagnostics.append(
            Diagnostic(Severity.WARNING, code, message, origin, mentions=mentions)
        )

    def _caches(self, service: Service) -> tuple[str, ...]:
        """Return the DNS caches for requests to `service`. A listener has those of all its services."""
        if service.resolution is Resolution.DYNAMIC_DNS and service.hostname.startswith("*"):
            return (*self._common_caches, dns_cache_name(service.hostname))
        return self._common_caches

    def _detected_http(self) -> ChainMatch:
        return ChainMatch(application_protocols=self._http_protocols, transport_protocol=_RAW_BUFFER)


def _declared(services: Iterable[Service]) -> list[Service]:
    """Return the declarations of the services, by precedence, without aliases. Each document that declares a
    host counts by itself, with its own precedence, addresses and ports."""
    found: list[Service] = []
    joined = False
    for service in services:
        if service.is_alias:
            continue
        joined = joined or service.shared is not None
        found.extend(service.declared)
    if joined:  # services are sorted already, but not the declarations of a merged one
        found.sort(key=attrgetter("precedence"))
    return found


def listen_addresses(service: Service, profile: OutboundProfile) -> tuple[str, ...]:
    """Return the addresses for a service's listeners: its own, else those allocated to it if the proxy
    captures DNS, else the wildcard."""
    if service.addresses:
        return service.addresses
    if profile.dns_capture and service.auto_allocated_addresses:
        wanted = {"V6_ONLY": (6,), "DUAL_STACK": (4, 6)}.get(profile.ip_family, (4,))
        fitting = tuple(
            address
            for address in service.auto_allocated_addresses
            if ipaddress.ip_address(address).version in wanted
        )
        if fitting:
            return fitting
    return (wildcard_address(profile),)


def wildcard_address(profile: OutboundProfile) -> str:
    """Return the wildcard address of the proxy's IP family."""
    return "::" if profile.ip_family == "V6_ONLY" else "0.0.0.0"  # noqa: S104 - what Istio's listeners bind


def parse_protocol(text: str) -> Protocol:
    """Return the protocol of a port of a Sidecar or Gateway. An empty or unknown name means that Envoy
    detects the protocol."""
    wanted = text.upper()
    for protocol in Protocol:
        if protocol.value.upper() == wanted:
            return protocol
    return Protocol.UNSUPPORTED


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
