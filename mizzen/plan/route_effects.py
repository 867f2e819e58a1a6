"""What two routes do differently to the requests that they pass on: retries, faults, copies, headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from envoy.extensions.filters.http.fault.v3 import fault_pb2

from mizzen.explain.route_effects import (
    fault_words,
    header_change,
    mirror_words,
    retry_conditions,
    retry_words,
)
from mizzen.explain.route_words import cluster_words
from mizzen.simulate.fault import TYPE as FAULT_TYPE
from mizzen.simulate.header_changes import request_changes, response_changes
from mizzen.simulate.route import first_fault, mirrors_of, retries_of
from mizzen.simulate.typed_config import type_name, unpacked
from mizzen.simulate.verdict import HeaderChange

_RETRIES: Final = ("retry_on", "num_retries", "per_try_timeout", "retriable_status_codes")
"""The fields of a RetryPolicy that the words about retries tell."""

_FAULT: Final = (("delay", ("fixed_delay", "percentage")), ("abort", ("http_status", "percentage")))
"""The parts of an HTTPFault, each with its fields that the words about faults tell."""


def tell_effects(old: Any, new: Any) -> list[str]:
    """Return in words what two Route messages do differently, and clear the fields that the words tell.

    Fields that differ and are not told stay, so that the caller finds them.
    """
    return [
        *_retries(old, new),
        *_told(old, new, "fault", _fault, _clear_fault),
        *_told(old, new, "mirrors", _mirrors, _clear_mirrors),
        *_headers(old, new, "request", request_changes),
        *_headers(old, new, "response", response_changes),
    ]


def _told(
    old: Any, new: Any, what: str, words: Callable[[Any], str], clear: Callable[[Any, Any], None]
) -> Iterator[str]:
    was, now = words(old), words(new)
    if was != now:
        clear(old, new)
        yield f"{what}: {now or 'none'}, in place of {was or 'none'}"


def _retries(old: Any, new: Any) -> Iterator[str]:
    was, now = retries_of(old.route), retries_of(new.route)
    if was == now:
        return
    _clear_retries(old, new)
    if was is None or now is None:
        words = [retry_words(each) if each is not None else "no retries" for each in (now, was)]
        yield f"{words[0]}, in place of {words[1]}"
        return
    if was.number != now.number:
        yield f"number of retries: {was.number} to {now.number}"
    if retry_conditions(was) != retry_conditions(now):
        yield f"retries on {retry_conditions(now)}, in place of {retry_conditions(was)}"
    if was.per_try_timeout != now.per_try_timeout:
        limits = [
            "no limit" if each is None else f"{each:g}s"
            for each in (was.per_try_timeout, now.per_try_timeout)
        ]
        yield f"time for each try: {limits[0]} to {limits[1]}"


def _clear_retries(old: Any, new: Any) -> None:
    is_whole = old.route.HasField("retry_policy") != new.route.HasField("retry_policy")
    for each in (old, new):
        if is_whole:
            each.route.ClearField("retry_policy")
        else:
            for field in _RETRIES:
                each.route.retry_policy.ClearField(field)


def _fault(route: Any) -> str:
    fault = first_fault((route,))
    return ", ".join(fault_words(fault)) if fault is not None else ""


def _clear_fault(old: Any, new: Any) -> None:
    """Clear the faults, unless both routes have one and these differ in what has no words."""
    rest = [_rest_of_fault(each) for each in (old, new)]
    if None not in rest and rest[0] != rest[1]:
        return
    for each in (old, new):
        for name, packed in list(each.typed_per_filter_config.items()):
            if type_name(packed) == FAULT_TYPE:
                del each.typed_per_filter_config[name]


def _rest_of_fault(route: Any) -> Any | None:
    """Return the first fault of a route without what the words tell, or None if it has none."""
    for packed in route.typed_per_filter_config.values():
        rest = unpacked(packed, fault_pb2.HTTPFault)
        if rest is not None:
            for part, told in _FAULT:
                message = getattr(rest, part)
                for field in told:
                    message.ClearField(field)
                if not message.ListFields():
                    rest.ClearField(part)
            return rest
    return None


def _mirrors(route: Any) -> str:
    mirrors = mirrors_of(route.route)
    return ", ".join(mirror_words(each, cluster_words(each.cluster)) for each in mirrors)


def _clear_mirrors(old: Any, new: Any) -> None:
    was, now = old.route.request_mirror_policies, new.route.request_mirror_policies
    if len(was) != len(now):
        del was[:], now[:]
    for policy in (*was, *now):
        policy.ClearField("cluster")
        policy.ClearField("runtime_fraction")


def _headers(
    old: Any, new: Any, side: str, changes: Callable[[Any], Iterable[HeaderChange]]
) -> Iterator[str]:
    was, now = _by_name(changes(old)), _by_name(changes(new))
    if was == now:
        return
    for name in {**was, **now}:
        before, after = (each.get(name, f"{name} left as it is") for each in (was, now))
        if before != after:
            yield f"{side} header {after}, in place of {before}"
    for each in (old, new):
        each.ClearField(f"{side}_headers_to_add")
        each.ClearField(f"{side}_headers_to_remove")


def _by_name(changes: Iterable[HeaderChange]) -> dict[str, str]:
    """Return what happens to each header, in words."""
    found: dict[str, str] = {}
    for each in changes:
        found[each.name] = ", ".join(filter(None, (found.get(each.name), header_change(each))))
    return found
