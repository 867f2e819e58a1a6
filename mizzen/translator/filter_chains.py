"""Filter chains as plain values: what a connection must look like, and what happens to it then.

Listeners are put together from these before anything is said in Envoy's words, because whether two services
can share a port is a question about the values (Istio: pilot/pkg/networking/core/listener.go).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.listener.v3 import listener_components_pb2

from mizzen.config.diagnostics import Origin
from mizzen.mesh.service import Protocol
from mizzen.translator.tcp_proxy import TcpTarget

ANY_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


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

    def same_connections(self, other: ChainMatch) -> bool:
        """Return whether both say the same: order, `*` and the host bits of a CIDR do not count."""
        return (
            self.transport_protocol == other.transport_protocol
            and self.application_protocols == other.application_protocols
            and self.destination_port == other.destination_port
            and _without_any(self.server_names) == _without_any(other.server_names)
            and _networks(self.prefix_ranges) == _networks(other.prefix_ranges)
        )

    def message(self) -> Any:
        """Return Envoy's FilterChainMatch."""
        match = listener_components_pb2.FilterChainMatch(
            application_protocols=self.application_protocols,
            transport_protocol=self.transport_protocol,
        )
        if self.server_names and "*" not in self.server_names:
            match.server_names.extend(sorted(self.server_names))
        for text in sorted(self.prefix_ranges):
            network = ipaddress.ip_network(text, strict=False)
            if str(network.network_address) in ANY_ADDRESSES:
                continue
            match.prefix_ranges.append(cidr_range(network))
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


def merged_chains(
    existing: Sequence[Chain], incoming: Iterable[Chain]
) -> tuple[tuple[Chain, ...], tuple[Chain, ...]]:
    """Return the chains of both, and those of `incoming` that had to be left out because an earlier chain
    takes the same connections elsewhere. A chain that leads where the earlier one does is not needed twice:
    each host of a VirtualService brings the same ones."""
    merged = list(existing)
    dropped = []
    for chain in incoming:
        earlier = next((other for other in merged if other.match.same_connections(chain.match)), None)
        if earlier is None:
            merged.append(chain)
        elif not _same_end(earlier, chain):
            dropped.append(chain)
    return tuple(merged), tuple(dropped)


def _same_end(one: Chain, other: Chain) -> bool:
    if isinstance(one, TcpChain):
        return isinstance(other, TcpChain) and one.target == other.target
    return isinstance(other, HttpChain) and one.route_config_name == other.route_config_name


def cidr_range(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> Any:
    """Return `network` as Envoy's CidrRange."""
    prefix = address_pb2.CidrRange(address_prefix=str(network.network_address))
    prefix.prefix_len.value = network.prefixlen
    return prefix


def _without_any(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in names if name != "*")


def _networks(ranges: Iterable[str]) -> frozenset[str]:
    networks = (ipaddress.ip_network(text, strict=False) for text in ranges)
    return frozenset(
        str(network) for network in networks if str(network.network_address) not in ANY_ADDRESSES
    )
