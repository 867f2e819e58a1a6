"""What AUTO_PASSTHROUGH servers pass on: mesh traffic from other networks, by the cluster that its SNI names.

Such a gateway has a filter chain for each cluster of each service. They are kept as bytes, service by
service, and joined: a change of one service encodes the chains of one.
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
from mizzen.translator.routes.encoding import encode, length_delimited
from mizzen.translator.tls.mesh_protocols import MESH_PROTOCOLS
from mizzen.xds.resource import Resource
from mizzen.xds.type_urls import LISTENER

_FILTER_CHAINS: Final = int(listener_pb2.Listener.DESCRIPTOR.fields_by_name["filter_chains"].number)


class PassedChain:
    """The filter chain of one cluster: the SNI that it is for, and the Listener's `filter_chains` field."""

    __slots__ = ("digest", "field", "server_name")

    def __init__(self, server_name: str, chain: Any) -> None:
        self.server_name = server_name
        self.field = length_delimited(_FILTER_CHAINS, encode(chain))
        self.digest = blake2b(self.field, digest_size=12).digest()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PassedChains:
    """The filter chains of a service."""

    each: tuple[PassedChain, ...]


@dataclass(frozen=True, eq=False)
class PassedServices:
    """The chains of the services that a gateway passes on, by hostname, sorted. Compared by identity."""

    chains: Mapping[str, PassedChains]

    def updated(self, changes: Mapping[str, PassedChains | None]) -> PassedServices:
        """Return them with other chains for some services, None for one that is not passed on any more; the
        very same object if that makes no difference."""
        if all(self.chains.get(host) is chains for host, chains in changes.items()):
            return self
        merged = {**self.chains, **changes}
        # Most are in order already, so sorting costs little.
        left = ((host, merged[host]) for host in sorted(merged))
        return PassedServices({host: chains for host, chains in left if chains is not None})


NOTHING_PASSED: Final = PassedServices({})


def passed_hosts(servers: Iterable[GatewayServer]) -> tuple[str, ...]:
    """Return the hosts of the servers that route mesh traffic by SNI alone."""
    return tuple(
        host
        for server in servers
        if server.server.tls is not None and server.server.tls.mode == "AUTO_PASSTHROUGH"
        for _, host in server.hosts
    )


def is_passed(service: Service, hosts: Iterable[str]) -> bool:
    """Return whether servers with these hosts are for `service`."""
    return not service.mesh_external and any(is_subset_of(service.hostname, host) for host in hosts)


def passed_chains(
    of: ServiceDestinations, idle_timeout: timedelta | None, settings: ByIdentity[MeshConfig]
) -> PassedChains:
    """Return the chains of a service: one for each of its clusters, which the SNI itself names."""
    return PassedChains(tuple([_chain(each, of.rule, idle_timeout, settings.value) for each, _ in of.each]))


def _chain(
    destination: Destination,
    rule: MergedDestinationRule | None,
    idle_timeout: timedelta | None,
    mesh_config: MeshConfig,
) -> PassedChain:
    name, service, number = destination.name, destination.service, destination.port.number
    subset = destination.subset_name
    stat = stat_name(name, mesh_config, service.hostname, service, number, subset)
    target = policy_target(((name, 1),), stat, rule, subset, idle_timeout)
    # Of a tunnel the gateway at the other end knows.
    return PassedChain(
        name, _message(name, replace(target, tunnel=None), destination.port.protocol, mesh_config)
    )


def _message(name: str, target: TcpTarget, protocol: Protocol, mesh_config: MeshConfig) -> Any:
    chain = gateway_filter_chain()
    match = ChainMatch((name,), application_protocols=MESH_PROTOCOLS)
    chain.filter_chain_match.CopyFrom(match.message())
    chain.filters.extend(tcp_filters(target, mesh_config, protocol))
    return chain


def untaken_chains(
    passed: PassedServices, hosts: Sequence[str], taken: Collection[str]
) -> Iterator[PassedChain]:
    """Yield the chains of the services that servers with these hosts are for, but those whose name another
    chain of the listener has taken."""
    for hostname, chains in passed.chains.items():
        if any(is_subset_of(hostname, host) for host in hosts):
            for chain in chains.each:
                if chain.server_name not in taken:
                    yield chain


def listener_resource(message: Any, chains: Sequence[PassedChain], origins: tuple[Any, ...]) -> Resource:
    """Return the Listener `message` with `chains` behind its own. Its version comes from the digests of the
    parts."""
    if not chains:
        return Resource.of(message, origins=origins)
    start = encode(message)
    version = blake2b(start, digest_size=12)
    version.update(b"".join([chain.digest for chain in chains]))
    value = b"".join([start, *[chain.field for chain in chains]])
    return Resource(LISTENER, message.name, value, version.hexdigest(), origins)
