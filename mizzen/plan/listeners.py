"""What changes between two listeners, and which connections this cuts.

Envoy updates a listener in place if only its filter chains differ: then it drains only the connections of
removed and changed chains. Any other change drains the whole listener.
Source: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/listeners/listener_filters and
source/common/listener_manager/listener_impl.cc (supportUpdateFilterChain, filterChainOnlyChange) of Envoy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mizzen.explain.chain_words import chain_match_words, chains, downstream_tls, target, tls_words
from mizzen.explain.tables.listeners import listener_address
from mizzen.plan.change import Change, Danger, Sign
from mizzen.plan.message_differences import differences
from mizzen.plan.peer_modes import peer_mode_changes
from mizzen.plan.places import of_filter_chain, of_listener
from mizzen.plan.policies import policy_changes, without_policies
from mizzen.plan.routes import route_configuration_changes

_CHAINS = ("filter_chains", "default_filter_chain", "filter_chain_matcher")
_ROUTES = ".route_config."
_DRAINS = "drains: its connections are cut"


def listener_changes(old: Any | None, new: Any | None) -> Iterator[Change]:
    """Yield the changes from one Listener to another; None stands for no listener."""
    listener = new if new is not None else old
    assert listener is not None
    name = str(listener.name)
    place = of_listener(name)
    if old is None:
        yield Change(Sign.ADDED, "listener", name, f"listens at {listener_address(listener)}", place=place)
        return
    if new is None:
        yield Change(Sign.REMOVED, "listener", name, _DRAINS, danger=Danger.DRAIN, place=place)
        return
    was, now = _without_chains(old), _without_chains(new)
    whole = was != now and not in_place(old, new)
    if was != now:
        yield Change(
            Sign.CHANGED,
            "listener",
            name,
            _DRAINS if whole else "is updated in place",
            differences(was, now),
            Danger.DRAIN if whole else Danger.NONE,
            place,
        )
    policies = tuple(policy_changes(old, new))
    found = [
        *policies,
        *peer_mode_changes(old, new),
        *_chains(name, old, new, drained_as_a_whole=whole, told=bool(policies)),
    ]
    yield from found
    if not found and was == now:
        yield Change(
            Sign.CHANGED,
            "listener",
            name,
            details=differences(old, new) or ("in a different order",),
            place=place,
        )


def in_place(old: Any, new: Any) -> bool:
    """Return whether Envoy updates the `old` Listener in place, without draining filter chains that stay."""
    if not new.filter_chains or _is_udp(old) or _is_udp(new):
        return False
    was, now = _without_chains(old), _without_chains(new)
    # Repeated fields are compared as sets.
    for each in (was, now):
        for field, value in each.ListFields():
            if field.is_repeated and field.message_type is not None:
                ordered = sorted(value, key=lambda one: one.SerializeToString(deterministic=True))
                del value[:]
                value.extend(ordered)
    return bool(was == now)


def _is_udp(listener: Any) -> bool:
    socket = listener.address.socket_address
    return bool(socket.protocol == socket.UDP)


def _chains(name: str, old: Any, new: Any, *, drained_as_a_whole: bool, told: bool) -> Iterator[Change]:
    """Yield the changes of filter chains; `told`: changes of policies are reported already."""
    before, after = _keyed(old), _keyed(new)
    guarded: list[Change] = []
    drains = "" if drained_as_a_whole else _DRAINS
    danger = Danger.NONE if drained_as_a_whole else Danger.DRAIN
    encrypted = {_port(chain) for _, chain in before.values() if downstream_tls(chain) is not None}
    open_ports = {_port(chain) for _, chain in before.values() if downstream_tls(chain) is None}
    for key, (index, chain) in before.items():
        if key not in after:
            words = f"{name}, {_words(index, chain)}"
            place = of_filter_chain(name, index, chain)
            yield Change(Sign.REMOVED, "filter chain", words, drains, danger=danger, place=place)
    for key, (index, chain) in after.items():
        words, place = f"{name}, {_words(index, chain)}", of_filter_chain(name, index, chain)
        if key not in before:
            port = _port(chain)
            plain = downstream_tls(chain) is None and port in encrypted and port not in open_ports
            plain = plain and chain.filter_chain_match.transport_protocol != "tls"
            served = "; what was refused without TLS is served" if plain else ""
            what = f"to {target(chain) or 'nothing'}{served}"
            risk = Danger.PLAINTEXT if plain else Danger.NONE
            yield Change(Sign.ADDED, "filter chain", words, what, danger=risk, place=place)
        elif before[key][1] != chain:
            change = Change(Sign.CHANGED, "filter chain", words, drains, (), danger, place)
            if told and without_policies(before[key][1]) == without_policies(chain):
                guarded.append(change)
            else:
                yield from _chain(before[key][1], chain, change)
    if len(guarded) > 1:
        words = f"{name}, {len(guarded)} of {len(after)}"
        yield replace(guarded[0], name=words, details=("their policies change",), place=of_listener(name))
    elif guarded:
        yield replace(guarded[0], details=("its policies change",))
    common = [key for key in before if key in after]
    if common != [key for key in after if key in before]:
        yield Change(Sign.CHANGED, "listener", name, "its filter chains are in a different order")


def _chain(old: Any, new: Any, change: Change) -> Iterator[Change]:
    """Yield the change of a filter chain, and the changes of the routes inside it."""
    routes = target(old).routes, target(new).routes
    told_below = routes[0] is not None and routes[1] is not None and routes[0] != routes[1]
    found = differences(old, new)
    details = [each for each in found if not (told_below and _ROUTES in each)] or ["its routes change"]
    was, now = tls_words(old), tls_words(new)
    if was != now:
        details.insert(0, f"{was or 'plaintext'} to {now or 'plaintext'}")
    plaintext = bool(was and not now)
    yield replace(change, details=tuple(details), danger=Danger.PLAINTEXT if plaintext else change.danger)
    if told_below:
        yield from route_configuration_changes(*routes)


def _keyed(listener: Any) -> dict[tuple[bytes, str, int], tuple[int, Any]]:
    """Return the filter chains by what they match, numbered where several match the same."""
    found: dict[tuple[bytes, str, int], tuple[int, Any]] = {}
    for index, chain in chains(listener):
        match = chain.filter_chain_match.SerializeToString(deterministic=True)
        kind = "default" if index < 0 else ""
        number = 0
        while (match, kind, number) in found:
            number += 1
        found[match, kind, number] = (index, chain)
    return found


def _port(chain: Any) -> int:
    return int(chain.filter_chain_match.destination_port.value)


def _words(index: int, chain: Any) -> str:
    return chain_match_words(chain, is_default=index < 0)


def _without_chains(listener: Any) -> Any:
    copied = type(listener)()
    copied.CopyFrom(listener)
    for field in _CHAINS:
        copied.ClearField(field)
    return copied
