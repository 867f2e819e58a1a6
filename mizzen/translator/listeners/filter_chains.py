"""Filter chains as plain values: what a connection must look like, and what happens to it then.

Listeners are put together from these before anything is said in Envoy's words, because whether two services
can share a port is a question about the values (Istio: pilot/pkg/networking/core/listener.go).
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
    """Connections with one server name to one network (empty: any) that a chain takes. No two chains of a
    listener may take the same."""

    server_name: str
    network: str
    application_protocols: tuple[str, ...]
    transport_protocol: str
    destination_port: int | None


@dataclass(frozen=True, slots=True)
class ChainMatch:
    """The conditions of a filter chain; all that are given must hold. `*` among `server_names` means any."""

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
        """Return what the chain takes, for each of its server names and networks (empty: any). Order, `*` and
        the host bits of a CIDR make no difference."""
        names = () if "*" in self.server_names else dict.fromkeys(self.server_names)
        networks = [str(network) for network in _networks(self.prefix_ranges)]
        rest = (self.application_protocols, self.transport_protocol, self.destination_port)
        return [Connections(name, network, *rest) for name in names or ("",) for network in networks or ("",)]

    def only(self, connections: Iterable[Connections]) -> list[ChainMatch]:
        """Return matches that together take just these of the match's `connections`."""
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
    """A chain that ends in a connection manager, whose routes come under `route_config_name`."""

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
    """The chains of a listener, to which more are joined.

    `owners` finds them by what they take. It grows with every chain, so each is good for one successor.
    """

    chains: tuple[Chain, ...]
    owners: dict[Connections, Chain]

    @classmethod
    def of(cls, chains: Iterable[Chain]) -> tuple[ListenerChains, tuple[Chain, ...]]:
        """Return chains that may clash with each other joined one by one; see `joined`."""
        return cls((), {}).joined(chains)

    def joined(self, incoming: Iterable[Chain]) -> tuple[ListenerChains, tuple[Chain, ...]]:
        """Return the chains of both, and those of `incoming` that had to be left out, or lost some of their
        server names or networks, because an earlier chain takes these connections elsewhere. A chain that
        leads where the earlier one does is not needed twice: each host of a VirtualService brings the same
        ones."""
        merged: list[Chain] = []
        dropped = []
        for chain in incoming:
            keys = chain.match.connections()
            earlier = [self.owners[key] for key in keys if key in self.owners]
            if any(not _same_end(one, chain) for one in earlier):
                dropped.append(chain)
            left = [chain]
            if earlier:
                # Envoy refuses a listener with one name and network in two chains that are alike in all else.
                keys = [key for key in keys if key not in self.owners]
                left = [replace(chain, match=match) for match in chain.match.only(keys)]
            merged.extend(left)
            self.owners.update(dict.fromkeys(keys, chain))
        return ListenerChains((*self.chains, *merged), self.owners), tuple(dropped)

    def have_all_of(self, chains: Iterable[Chain]) -> bool:
        """Return whether the connections that `chains` take end where they lead already."""
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
    """Return each network once: Envoy refuses a listener with one twice in a chain."""
    networks = dict.fromkeys(ipaddress.ip_network(text, strict=False) for text in sorted(ranges))
    return [network for network in networks if str(network.network_address) not in ANY_ADDRESSES]
