"""AUTO_PASSTHROUGH: gateways forward mesh traffic from other networks to the cluster that its SNI names.

Such a gateway has a filter chain for each cluster of each service. The chains are encoded for each service,
and their bytes joined. So a change of one service encodes only the chains of that service.
Source: Istio's buildGatewayListenerTLSContext and builtAutoPassthroughFilterChains in gateway.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final

from envoy.config.listener.v3 import listener_pb2

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.hosts import is_subset_of
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.rules.gateways import GatewayServer
from mizzen.mesh.service import Protocol, Service
from mizzen.translator.base.by_identity import ByIdentity
from mizzen.translator.base.destinations import Destination
from mizzen.translator.endpoints.service_destinations import ServiceDestinations
from mizzen.translator.listeners.filter_chains import ChainMatch
from mizzen.translator.listeners.l4_routes import policy_target, stat_name
from mizzen.translator.listeners.messages import gateway_filter_chain
from mizzen.translator.listeners.tcp_proxy import TcpTarget, tcp_filters
from mizzen.translator.routes.encoding import encode
from mizzen.translator.tls.mesh_protocols import MESH_PROTOCOLS
from mizzen.xds.resource import Resource
from mizzen.xds.type_urls import LISTENER
from mizzen.xds.wire import length_delimited

_FILTER_CHAINS: Final = int(listener_pb2.Listener.DESCRIPTOR.fields_by_name["filter_chains"].number)


class PassthroughChain:
    """The filter chain of one cluster: its SNI, and its bytes as a `filter_chains` field of a Listener."""

    __slots__ = ("digest", "field", "server_name")

    def __init__(self, server_name: str, chain: Any) -> None:
        self.server_name = server_name
        self.field = length_delimited(_FILTER_CHAINS, encode(chain))
        self.digest = blake2b(self.field, digest_size=12).digest()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PassthroughChains:
    """The filter chains of a service."""

    each: tuple[PassthroughChain, ...]


@dataclass(frozen=True, eq=False)
class PassthroughServices:
    """The chains of the services that a gateway forwards to, by hostname, sorted. Compared by identity."""

    chains: Mapping[str, PassthroughChains]

    def updated(self, changes: Mapping[str, PassthroughChains | None]) -> PassthroughServices:
        """Return a copy with new chains for some services; None removes those of a service. Return the same
        object if nothing differs."""
        if all(self.chains.get(host) is chains for host, chains in changes.items()):
            return self
        merged = {**self.chains, **changes}
        # Most are in order already, so sorting costs little.
        left = ((host, merged[host]) for host in sorted(merged))
        return PassthroughServices({host: chains for host, chains in left if chains is not None})


NO_PASSTHROUGH: Final = PassthroughServices({})


def passthrough_hosts(servers: Iterable[GatewayServer]) -> tuple[str, ...]:
    """Return the hosts of those servers that have the TLS mode AUTO_PASSTHROUGH."""
    return tuple(
        host
        for server in servers
        if server.server.tls is not None and server.server.tls.mode == "AUTO_PASSTHROUGH"
        for _, host in server.hosts
    )


def is_passed_through(service: Service, hosts: Iterable[str]) -> bool:
    """Return whether servers with these hosts forward to `service`."""
    return not service.mesh_external and any(is_subset_of(service.hostname, host) for host in hosts)


def passthrough_chains(
    of: ServiceDestinations, idle_timeout: timedelta | None, settings: ByIdentity[MeshConfig]
) -> PassthroughChains:
    """Return the chains of a service: one for each of its clusters, whose name is the SNI."""
    return PassthroughChains(
        tuple([_chain(each, of.rule, idle_timeout, settings.value) for each, _ in of.each])
    )


def _chain(
    destination: Destination,
    rule: MergedDestinationRule | None,
    idle_timeout: timedelta | None,
    mesh_config: MeshConfig,
) -> PassthroughChain:
    name, service, number = destination.name, destination.service, destination.port.number
    subset = destination.subset_name
    stat = stat_name(name, mesh_config, service.hostname, service, number, subset)
    target = policy_target(((name, 1),), stat, rule, subset, idle_timeout)
    # Without the rule's tunnel, as in Istio: it is not for connections that the gateway only forwards.
    return PassthroughChain(
        name, _message(name, replace(target, tunnel=None), destination.port.protocol, mesh_config)
    )


def _message(name: str, target: TcpTarget, protocol: Protocol, mesh_config: MeshConfig) -> Any:
    chain = gateway_filter_chain()
    match = ChainMatch((name,), application_protocols=MESH_PROTOCOLS)
    chain.filter_chain_match.CopyFrom(match.message())
    chain.filters.extend(tcp_filters(target, mesh_config, protocol))
    return chain


def untaken_chains(
    passthrough: PassthroughServices, hosts: Sequence[str], taken: Collection[str]
) -> Iterator[PassthroughChain]:
    """Yield the chains of the services that servers with these hosts forward to. Chains whose SNI is in
    `taken` are left out, because the listener already has a chain for it."""
    for hostname, chains in passthrough.chains.items():
        if any(is_subset_of(hostname, host) for host in hosts):
            for chain in chains.each:
                if chain.server_name not in taken:
                    yield chain


def listener_resource(message: Any, chains: Sequence[PassthroughChain], origins: tuple[Any, ...]) -> Resource:
    """Return the Listener `message` with `chains` after its own. The version is a hash of the
    message's bytes and the chains' digests."""
    if not chains:
        return Resource.of(message, origins=origins)
    start = encode(message)
    version = blake2b(start, digest_size=12)
    version.update(b"".join([chain.digest for chain in chains]))
    value = b"".join([start, *[chain.field for chain in chains]])
    return Resource(LISTENER, message.name, value, version.hexdigest(), origins)
