"""The choice of a listener.

A connection is accepted by the listener bound to its address. A captured connection is accepted by the
listener that iptables redirects to. If that has `use_original_dst`, it hands the connection to the listener
of the original destination (the exact address before the wildcard), or keeps it if there is none.

Source:
https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/listener_filters/original_dst_filter
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mizzen.simulate import listener_filters
from mizzen.simulate.call import Call, Capture, Protocol
from mizzen.simulate.connection import Connection
from mizzen.simulate.filter_chain import FilterChains
from mizzen.simulate.prefixes import canonical, parsed
from mizzen.simulate.seconds import limit
from mizzen.simulate.secrets import HasSecret
from mizzen.simulate.verdict import RunnerUp

_UDP = 1
_LISTENER_FILTERS_TIMEOUT = 15.0
_INBOUND, _OUTBOUND = 1, 2
_WILDCARDS = {4: "0.0.0.0", 6: "::"}  # noqa: S104 (addresses to look for)
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}

_Address = tuple[str, int]
"""Address and port; a Unix socket is a path and 0."""


class Listener:
    """One listener; its filter chains are compiled when it is first used."""

    __slots__ = ("_chains", "_filters", "_has_secret", "addresses", "bound", "message", "name", "udp")

    def __init__(self, message: Any, has_secret: HasSecret) -> None:
        self.message = message
        self._has_secret = has_secret
        self.name = str(message.name)
        self.bound = message.bind_to_port.value or not message.HasField("bind_to_port")
        self.udp = message.address.socket_address.protocol == _UDP
        addresses = [message.address, *(each.address for each in message.additional_addresses)]
        self.addresses = [each for bound in addresses for each in _addresses(bound)]
        self._chains: FilterChains | None = None
        self._filters: tuple[listener_filters.ListenerFilter, ...] | None = None

    @property
    def gives_up_waiting(self) -> bool:
        """True if a connection continues when a listener filter has waited for too long."""
        limited = limit(self.message, "listener_filters_timeout", _LISTENER_FILTERS_TIMEOUT) is not None
        return bool(self.message.continue_on_listener_filters_timeout and limited)

    @property
    def chains(self) -> FilterChains:
        """The filter chains."""
        if self._chains is None:
            self._chains = FilterChains(self.message, self._has_secret)
        return self._chains

    @property
    def filters(self) -> tuple[listener_filters.ListenerFilter, ...]:
        """The listener filters, with those that Envoy adds itself."""
        if self._filters is None:
            self._filters = listener_filters.listener_filters(self.message)
        return self._filters


class Listeners:
    """All listeners of a proxy, by address."""

    __slots__ = ("_bound", "_inbound", "_outbound", "_tcp", "_udp")

    def __init__(self, messages: Iterable[Any], has_secret: HasSecret) -> None:
        self._tcp: dict[_Address, Listener] = {}
        self._udp: dict[_Address, Listener] = {}
        self._bound: dict[_Address, Listener] = {}
        self._outbound: Listener | None = None
        self._inbound: Listener | None = None
        for message in messages:
            listener = Listener(message, has_secret)
            for bound_to in listener.addresses:
                if listener.udp:
                    self._udp.setdefault(bound_to, listener)
                    continue
                self._tcp.setdefault(bound_to, listener)
                if listener.bound:
                    self._bound.setdefault(bound_to, listener)
            self._note_capture(listener)

    def _note_capture(self, listener: Listener) -> None:
        """Remember the listener if iptables redirects to it: it is bound, and restores destinations."""
        if not listener.bound or listener.udp:
            return
        message = listener.message
        if message.traffic_direction == _OUTBOUND and message.use_original_dst.value:
            self._outbound = self._outbound or listener
        elif message.traffic_direction == _INBOUND and any(
            kind == listener_filters.ORIGINAL_DESTINATION for _, kind, _ in listener.filters
        ):
            self._inbound = self._inbound or listener

    def accepts(self, call: Call) -> Listener | None:
        """Return the listener whose socket accepts the connection."""
        if call.capture is Capture.OUTBOUND:
            return self._outbound
        if call.capture is Capture.INBOUND:
            return self._inbound
        return _at(self._udp if call.protocol is Protocol.HTTP3 else self._bound, call.address, call.port)

    def hands_on(self, listener: Listener, connection: Connection) -> Listener:
        """Return the listener that takes the connection after the filters of the accepting listener ran."""
        if not (connection.restored and listener.message.use_original_dst.value):
            return listener
        return _at(self._tcp, connection.address, connection.port) or listener

    def runner_up(self, call: Call, chosen: Listener | None) -> RunnerUp | None:
        """Return the nearest of the listeners not chosen: one that is less specific, else one of the same
        port, else one of the same address."""
        listeners = self._udp if call.protocol is Protocol.HTTP3 else self._tcp
        found = f"{call.address}:{call.port}"
        near: list[tuple[int, str, RunnerUp]] = []
        for (address, port), listener in listeners.items():
            if listener is chosen:
                continue
            wanted = f"{address}:{port}"
            if (port, address) == (call.port, call.address) or (
                port == call.port and address in _WILDCARDS.values()
            ):
                bound = listener.bound or call.capture is not Capture.NONE
                condition = "address" if bound else "bind_to_port"
                near.append((0, wanted, RunnerUp(listener.name, condition, wanted, found)))
            elif port == call.port:
                near.append((1, wanted, RunnerUp(listener.name, "address", wanted, found)))
            elif address == call.address:
                near.append((2, wanted, RunnerUp(listener.name, "port", wanted, found)))
        return min(near, key=lambda each: each[:2])[2] if near else None


def connection(call: Call, listener: Listener) -> Connection:
    """Return the connection as the listener accepts it: a redirected one has lost its destination."""
    if call.capture is Capture.NONE or listener.message.transparent.value:
        made = Connection(call, call.address, call.port)
    else:
        version, _ = parsed(call.address)
        made = Connection(call, _LOOPBACK.get(version, ""), listener.addresses[0][1])
    if call.protocol is Protocol.HTTP3:
        made.transport_protocol = "quic"
        if call.tls is not None:
            made.server_name = call.tls.server_name.lower()
        made.application_protocols = ("h3",)
    return made


def _at(listeners: dict[_Address, Listener], address: str, port: int) -> Listener | None:
    found = listeners.get((canonical(address), port))
    if found is None:
        version, _ = parsed(address)
        found = listeners.get((_WILDCARDS.get(version, ""), port))
    return found


def _addresses(address: Any) -> list[_Address]:
    if address.HasField("pipe"):
        return [(address.pipe.path, 0)]
    socket = address.socket_address
    found = (canonical(socket.address), socket.port_value)
    if socket.address == "::" and socket.ipv4_compat:
        # One socket for both families, so that it accepts IPv4 connections too.
        return [found, ("0.0.0.0", socket.port_value)]  # noqa: S104
    return [found]
