"""Filter chains as plain values: which connections a chain takes, and where it sends them.

Listeners are first built from these values, and translated to Envoy's messages later: the values decide
whether two services can share a port (Istio: pilot/pkg/networking/core/listener.go).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from envoy.config.core.v3 import address_pb2
from envoy.config.listener.v3 import listener_components_pb2

from mizzen.config.diagnostics import Origin
from mizzen.mesh.service import Protocol
from mizzen.translator.listeners.tcp_proxy import TcpTarget

ANY_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


class Connections(NamedTuple):
    """The connections that a chain takes for one server name and one network (each empty: any). Two chains of
    a listener must not take the same ones."""

    server_name: str
    network: str
    application_protocols: tuple[str, ...]
    transport_protocol: str
    destination_port: int | None


@dataclass(frozen=True, slots=True)
class ChainMatch:
    """The conditions of a filter chain. All given ones must hold. `*` among `server_names` means any name."""

    server_names: tuple[str, ...] = ()
    prefix_ranges: tuple[str, ...] = ()
    application_protocols: tuple[str, ...] = ()
    transport_protocol: str = ""
    destination_port: int | None = None

    @property
    def is_match_all(self) -> bool:
        """True if no condition is given."""
        return (
            (not self.server_names or "*" in self.server_names)
            and not self.application_protocols
            and not self.transport_protocol
            and not self.prefix_ranges
            and self.destination_port is None
        )

    def connections(self) -> list[Connections]:
        """Return the connections of the chain, for each server name and network (empty: any). The name
        `*` is the same as no name, and the host bits of a CIDR do not count."""
        names = () if "*" in self.server_names else dict.fromkeys(self.server_names)
        networks = [str(network) for network in _networks(self.prefix_ranges)]
        rest = (self.application_protocols, self.transport_protocol, self.destination_port)
        return [Connections(name, network, *rest) for name in names or ("",) for network in networks or ("",)]

    def only(self, connections: Iterable[Connections]) -> list[ChainMatch]:
        """Return matches that together take exactly these of the match's `connections`."""
        networks_of: dict[str, list[str]] = {}
        for each in connections:
            networks_of.setdefault(each.server_name, []).append(each.network)
        names_of: dict[tuple[str, ...], list[str]] = {}
        for name, networks in networks_of.items():
            names_of.setdefault(tuple(filter(None, networks)), []).append(name)
        return [
            replace(self, server_names=tuple(filter(None, names)), prefix_ranges=networks)
            for networks, names in names_of.items()
        ]

    def message(self) -> Any:
        """Return Envoy's FilterChainMatch."""
        match = listener_components_pb2.FilterChainMatch(
            application_protocols=self.application_protocols,
            transport_protocol=self.transport_protocol,
        )
        if self.server_names and "*" not in self.server_names:
            match.server_names.extend(sorted(self.server_names))
        match.prefix_ranges.extend(cidr_range(network) for network in _networks(self.prefix_ranges))
        if self.destination_port is not None:
            match.destination_port.value = self.destination_port
        return match


@dataclass(frozen=True, slots=True)
class HttpChain:
    """A chain that ends in a connection manager, which fetches its routes as `route_config_name`."""

    route_config_name: str
    protocol: Protocol = Protocol.HTTP
    match: ChainMatch = ChainMatch()
    origins: tuple[Origin, ...] = ()
    dns_caches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TcpChain:
    """A chain that ends in a TCP proxy."""

    target: TcpTarget
    protocol: Protocol = Protocol.TCP
    match: ChainMatch = ChainMatch()
    origins: tuple[Origin, ...] = ()


Chain = HttpChain | TcpChain


@dataclass(frozen=True, slots=True)
class ListenerChains:
    """The chains of a listener, to which more can be joined.

    `owners` finds a chain by its connections. `joined` changes this dictionary and passes it on, so call it
    only once for each object.
    """

    chains: tuple[Chain, ...]
    owners: dict[Connections, Chain]

    @classmethod
    def of(cls, chains: Iterable[Chain]) -> tuple[ListenerChains, tuple[Chain, ...]]:
        """Return `chains`, joined one by one because they may conflict with each other; see `joined`."""
        return cls((), {}).joined(chains)

    def joined(self, incoming: Iterable[Chain]) -> tuple[ListenerChains, tuple[Chain, ...]]:
        """Return all chains together, and those of `incoming` that conflict.

        A chain conflicts if an earlier one takes some of its connections to a different target. Then it loses
        these server names and networks, or is left out if none remain. A chain with the same target as the
        earlier one is no conflict, but not added twice: each host of a VirtualService brings the same chains.
        """
        merged: list[Chain] = []
        dropped = []
        for chain in incoming:
            keys = chain.match.connections()
            earlier = [self.owners[key] for key in keys if key in self.owners]
            if any(not _same_end(one, chain) for one in earlier):
                dropped.append(chain)
            left = [chain]
            if earlier:
                # Envoy rejects a listener if two chains have the same name and network and are otherwise
                # equal.
                keys = [key for key in keys if key not in self.owners]
                left = [replace(chain, match=match) for match in chain.match.only(keys)]
            merged.extend(left)
            self.owners.update(dict.fromkeys(keys, chain))
        return ListenerChains((*self.chains, *merged), self.owners), tuple(dropped)

    def have_all_of(self, chains: Iterable[Chain]) -> bool:
        """Return whether the connections of `chains` already have the same targets in this listener."""
        return all(
            key in self.owners and _same_end(self.owners[key], chain)
            for chain in chains
            for key in chain.match.connections()
        )


def _same_end(one: Chain, other: Chain) -> bool:
    if isinstance(one, TcpChain):
        return isinstance(other, TcpChain) and one.target == other.target
    return isinstance(other, HttpChain) and one.route_config_name == other.route_config_name


def cidr_range(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Any:
    """Return `network` as Envoy's CidrRange."""
    prefix = address_pb2.CidrRange(address_prefix=str(network.network_address))
    prefix.prefix_len.value = network.prefixlen
    return prefix


def _networks(ranges: Iterable[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return each network once, because Envoy rejects a chain that has one twice. Leave out those that match
    every address."""
    networks = dict.fromkeys(ipaddress.ip_network(text, strict=False) for text in sorted(ranges))
    return [network for network in networks if str(network.network_address) not in ANY_ADDRESSES]
