"""The choice of a filter chain.

Envoy looks at one property of the connection after the other: destination port, destination address, server
name, transport protocol, application protocol, direct source address, source type, source address, source
port. At each it takes the most specific value that a chain names, and never goes back. So a chain without
server names is not chosen if a second chain of the same port names the connection's server name, even if that
one fails later.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/listener/v3/listener_components.proto
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from mizzen.simulate.connection import Connection
from mizzen.simulate.network_filters import DEFAULT, ChainFilters
from mizzen.simulate.prefixes import Prefixes, contains, parsed
from mizzen.simulate.secrets import HasSecret
from mizzen.simulate.verdict import RunnerUp

_ANY, _LOCAL, _EXTERNAL = 0, 1, 2
_SOURCE_TYPES = {_LOCAL: "same IP or loopback", _EXTERNAL: "external"}

_Leaf = dict[int, "FilterChain"]
"""Source port, 0 for any -> filter chain."""
_SourceTypes = dict[int, Prefixes[_Leaf]]
_Protocols = dict[str, Prefixes[_SourceTypes]]
_Names = dict[str, dict[str, _Protocols]]
"""Server name (with a leading dot for a wildcard, empty for any) -> transport
protocol -> application protocol."""


class FilterChain:
    """A filter chain; what its filters do is compiled when it is first chosen."""

    __slots__ = ("_filters", "_has_secret", "_index", "duplicate", "message", "name")

    def __init__(self, message: Any, index: int, has_secret: HasSecret) -> None:
        self.message = message
        self._has_secret = has_secret
        self.name = str(message.name)
        self._index = index
        self.duplicate = False
        """True if a second chain of the listener has the same match."""
        self._filters: ChainFilters | None = None

    @property
    def filters(self) -> ChainFilters:
        """What the chain does with a connection."""
        if self._filters is None:
            self._filters = ChainFilters(self.message, self._index, self._has_secret)
        return self._filters


class FilterChains:
    """The filter chains of one listener."""

    __slots__ = ("_by_port", "_chains", "_default")

    def __init__(self, listener: Any, has_secret: HasSecret) -> None:
        self._by_port: dict[int, Prefixes[_Names]] = {}
        self._chains = [
            FilterChain(message, index, has_secret) for index, message in enumerate(listener.filter_chains)
        ]
        self._default = (
            FilterChain(listener.default_filter_chain, DEFAULT, has_secret)
            if listener.HasField("default_filter_chain")
            else None
        )
        for chain in self._chains:
            self._add(chain)

    def choose(self, connection: Connection) -> FilterChain | None:
        """Return the filter chain for the connection; None if the connection is closed."""
        by_address = self._by_port.get(connection.port)
        if by_address is None:
            by_address = self._by_port.get(0)
        found = None
        if by_address is not None:
            names = by_address.longest(connection.address)
            if names is not None:
                found = _by_names(names, connection)
        return found if found is not None else self._default

    def runner_up(self, connection: Connection, chosen: FilterChain | None) -> RunnerUp | None:
        """Return the chain that matched furthest among those not chosen, and where it lost; of several equal
        ones, the one with most conditions."""
        best: tuple[tuple[int, int], RunnerUp] | None = None
        for index, chain in enumerate(self._chains):
            if chain is chosen:
                continue
            near, lost = _first_failure(chain.message.filter_chain_match, chain.name, connection, chosen)
            if best is None or near > best[0]:
                best = near, replace(lost, index=index)
        return best[1] if best is not None else None

    def _add(self, chain: FilterChain) -> None:
        match = chain.message.filter_chain_match
        by_address = self._by_port.setdefault(match.destination_port.value, Prefixes())
        names = [name.lower().removeprefix("*") for name in match.server_names] or [""]
        transport = match.transport_protocol
        direct = _ranges(match.direct_source_prefix_ranges)
        source = _ranges(match.source_prefix_ranges)
        for by_name in by_address.of(_ranges(match.prefix_ranges), dict):
            for name in names:
                protocols = by_name.setdefault(name, {}).setdefault(transport, {})
                for protocol in list(match.application_protocols) or [""]:
                    for types in protocols.setdefault(protocol, Prefixes()).of(direct, dict):
                        leaves = types.setdefault(match.source_type, Prefixes())
                        for leaf in leaves.of(source, dict):
                            _put(leaf, list(match.source_ports) or [0], chain)


def _put(leaf: _Leaf, ports: Iterable[int], chain: FilterChain) -> None:
    for port in ports:
        other = leaf.setdefault(port, chain)
        if other is not chain:
            other.duplicate = chain.duplicate = True


def _by_names(names: _Names, connection: Connection) -> FilterChain | None:
    name = connection.server_name
    if name:
        if name in names:
            return _by_transport(names[name], connection)
        dot = name.find(".", 1)
        while dot > 0:
            found = names.get(name[dot:])
            if found is not None:
                return _by_transport(found, connection)
            dot = name.find(".", dot + 1)
    unnamed = names.get("")
    return _by_transport(unnamed, connection) if unnamed is not None else None


def _by_transport(transports: dict[str, _Protocols], connection: Connection) -> FilterChain | None:
    protocols = transports.get(connection.transport_protocol)
    if protocols is None:
        protocols = transports.get("")
    if protocols is None:
        return None
    for protocol in (*connection.application_protocols, ""):
        by_direct_source = protocols.get(protocol)
        if by_direct_source is not None:
            types = by_direct_source.longest(connection.call.source_address)
            return _by_source(types, connection) if types is not None else None
    return None


def _by_source(types: _SourceTypes, connection: Connection) -> FilterChain | None:
    by_source = None
    if len(types) > 1 or _ANY not in types:
        by_source = types.get(_LOCAL if _is_local(connection) else _EXTERNAL)
    if by_source is None:
        by_source = types.get(_ANY)
    if by_source is None:
        return None
    leaf = by_source.longest(connection.call.source_address)
    if leaf is None:
        return None
    return leaf.get(connection.call.source_port) or leaf.get(0)


def _is_local(connection: Connection) -> bool:
    source = connection.call.source_address
    version, number = parsed(source)
    loopback = (version == 4 and number >> 24 == 127) or (version == 6 and number == 1)
    return loopback or source == connection.address


def _ranges(prefixes: Iterable[Any]) -> list[tuple[str, int]]:
    return [(each.address_prefix, each.prefix_len.value) for each in prefixes]


def _first_failure(
    match: Any, name: str, connection: Connection, chosen: FilterChain | None
) -> tuple[tuple[int, int], RunnerUp]:
    """Return how many conditions hold before the first that fails, how many of these are not "any", and the
    one that fails.

    If all hold, the chosen chain is more specific in some condition: that is where this one lost.
    """
    mine = _conditions(match, connection)
    asked = 0
    for depth, (condition, wanted, found, holds) in enumerate(mine):
        if wanted and not holds:
            return (depth, asked), RunnerUp(name, condition, wanted, found)
        asked += bool(wanted)
    near = len(mine), asked
    theirs = _conditions(chosen.message.filter_chain_match, connection) if chosen is not None else mine
    for (condition, wanted, _, _), (_, other, found, _) in zip(mine, theirs, strict=True):
        if wanted != other:
            return near, RunnerUp(name, condition, wanted or "any", f"{found}, and {other} is closer")
    return near, RunnerUp(name, "match", "the same as another chain", "")


def _conditions(match: Any, connection: Connection) -> Sequence[tuple[str, str, str, bool]]:
    """Return each condition in Envoy's order: its name, what it wants (empty for any), what the connection
    has, and whether it holds."""
    call = connection.call
    port = match.destination_port.value
    source_type = match.source_type
    source_port = str(call.source_port)
    protocols = connection.application_protocols
    plain = ", as the connection is plain text" if connection.transport_protocol == "raw_buffer" else ""

    def address(condition: str, prefixes: Any, found: str) -> tuple[str, str, str, bool]:
        ranges = _ranges(prefixes)
        wanted = ", ".join(f"{prefix}/{length}" for prefix, length in ranges)
        return condition, wanted, found, contains(ranges, found)

    return (
        (
            "destination port",
            str(port) if port else "",
            str(connection.port),
            port == connection.port,
        ),
        address("destination address", match.prefix_ranges, connection.address),
        (
            "server name",
            ", ".join(match.server_names),
            connection.server_name or f"none known{plain}",
            any(_covers(name.lower(), connection.server_name) for name in match.server_names),
        ),
        (
            "transport protocol",
            match.transport_protocol,
            f"{connection.transport_protocol}{' (plain text)' if plain else ''}",
            match.transport_protocol == connection.transport_protocol,
        ),
        (
            "application protocol",
            ", ".join(match.application_protocols),
            ", ".join(protocols) or "none known",
            any(protocol in protocols for protocol in match.application_protocols),
        ),
        address("direct source address", match.direct_source_prefix_ranges, call.source_address),
        (
            "source type",
            _SOURCE_TYPES.get(source_type, ""),
            _SOURCE_TYPES[_LOCAL if _is_local(connection) else _EXTERNAL],
            source_type == (_LOCAL if _is_local(connection) else _EXTERNAL),
        ),
        address("source address", match.source_prefix_ranges, call.source_address),
        (
            "source port",
            ", ".join(map(str, match.source_ports)),
            source_port,
            call.source_port in match.source_ports,
        ),
    )


def _covers(pattern: str, server_name: str) -> bool:
    if pattern.startswith("*."):
        return len(server_name) > len(pattern) - 1 and server_name.endswith(pattern[1:])
    return pattern == server_name
