"""Whether a workload's ports accept plain text, mutual TLS or both, read from a listener's filter chains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.config.core.v3 import base_pb2

from mizzen.config.group_kinds import PEER_AUTHENTICATION
from mizzen.config.models import MutualTLSMode
from mizzen.explain.chain_words import chains, downstream_tls
from mizzen.plan.change import Change, Danger, Sign
from mizzen.plan.places import of_policies

_STRICT, _PERMISSIVE, _DISABLE = MutualTLSMode.STRICT, MutualTLSMode.PERMISSIVE, MutualTLSMode.DISABLE
_MEANING: Final = {
    (_PERMISSIVE, _STRICT): ("plain text is refused now", Danger.REFUSED),
    (_DISABLE, _STRICT): ("plain text is refused now, and mutual TLS is taken", Danger.REFUSED),
    (_STRICT, _PERMISSIVE): ("plain text is taken too", Danger.PLAINTEXT),
    (_DISABLE, _PERMISSIVE): ("mutual TLS is taken too", Danger.NONE),
    (_STRICT, _DISABLE): ("mutual TLS is refused now, and plain text is taken", Danger.REFUSED),
    (_PERMISSIVE, _DISABLE): ("mutual TLS is refused now", Danger.REFUSED),
}
_ANY_OTHER: Final = 0


def peer_mode_changes(old: Any, new: Any) -> Iterator[Change]:
    """Yield the changed modes of a sidecar's inbound Listener; ports that change alike give one change."""
    if new.traffic_direction != base_pb2.INBOUND:
        return
    was, now = _modes(old), _modes(new)
    alike: dict[tuple[MutualTLSMode, MutualTLSMode], list[int]] = {}
    for port in sorted({*was, *now}, key=lambda number: (number == _ANY_OTHER, number)):
        before, after = (modes.get(port, modes.get(_ANY_OTHER)) for modes in (was, now))
        if before is not None and after is not None and before is not after:
            alike.setdefault((before, after), []).append(port)
    for (before, after), ports in alike.items():
        meaning, danger = _MEANING[before, after]
        place = of_policies(str(new.name), PEER_AUTHENTICATION)
        what = f"{before} to {after}: {meaning}"
        # With the same words, workloads that differ only in their port numbers are reported together.
        name = "of all ports" if {*was, *now} == set(ports) else f"of {_ports(ports)}"
        yield Change(Sign.CHANGED, "mutual TLS", name, what, danger=danger, place=place)


def _modes(listener: Any) -> dict[int, MutualTLSMode]:
    """Return the modes by port; port 0 stands for all ports without a mode of their own."""
    kinds: dict[int, set[bool]] = {}
    for _, chain in chains(listener):
        match = chain.filter_chain_match
        if match.destination_port.value == listener.address.socket_address.port_value:
            continue  # this chain closes connections that iptables has not redirected
        encrypted = downstream_tls(chain) is not None
        if encrypted or match.transport_protocol != "tls":
            kinds.setdefault(match.destination_port.value, set()).add(encrypted)
    return {port: _mode(found) for port, found in kinds.items()}


def _mode(found: set[bool]) -> MutualTLSMode:
    if len(found) == 2:
        return _PERMISSIVE
    return _STRICT if True in found else _DISABLE


def _ports(numbers: list[int]) -> str:
    named = [str(each) for each in numbers if each != _ANY_OTHER]
    words = f"port{'s' if len(named) > 1 else ''} {', '.join(named)}" if named else ""
    if _ANY_OTHER not in numbers:
        return words
    return f"{words} and all others" if words else "all other ports"
