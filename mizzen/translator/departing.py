"""What a gateway is about to lose, kept beside what it gets until nobody calls it any more.

A call that is on its way follows what its sidecar was told before. A gateway that is given the union of what
it had and what it gets can take both, so the sidecars can follow one by one.

Repeated fields of a message may be written one behind the other in protobuf's wire format
(https://protobuf.dev/programming-guides/encoding/): what is kept of a listener or a route configuration is
written behind the new one's bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Snapshot
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET

_Listener = listener_pb2.Listener
_RouteConfiguration = route_pb2.RouteConfiguration
_FILTER_CHAINS: Final = int(_Listener.DESCRIPTOR.fields_by_name["filter_chains"].number)
_LISTENER_FILTERS: Final = int(_Listener.DESCRIPTOR.fields_by_name["listener_filters"].number)
_VIRTUAL_HOSTS: Final = int(_RouteConfiguration.DESCRIPTOR.fields_by_name["virtual_hosts"].number)

_ANY_NAME: Final = ("",)
_LENGTH_DELIMITED: Final = 2
_BLOCK: Final = 4096
"""Bytes that are compared at once: most of a large message is the same in both."""


def with_departing(old: Snapshot, new: Snapshot) -> Snapshot:
    """Return `new` with what `old` has besides that takes calls: listeners, filter chains and virtual hosts,
    and the clusters and secrets that they may need. `new` itself if there is nothing of the kind.

    What both have is as in `new`. A filter chain that the new ones leave no connection, a domain that a new
    virtual host has, and a listener whose address is taken are not kept: Envoy would refuse the union.
    """
    kept = [*_kept(LISTENER, old, new, _departing_chains), *_kept(ROUTE, old, new, _departing_hosts)]
    if not kept:
        return new
    for type_url in (CLUSTER, ENDPOINT, SECRET):
        was = old.collection(type_url)
        kept += [was[name] for name in new.collection(type_url).since(was).removed]
    return new.updated(kept)[0]


def _kept(
    type_url: str, old: Snapshot, new: Snapshot, departing: Callable[[bytes, bytes], bytes]
) -> Iterator[Resource]:
    """Yield the resources of a type that are other than in `new` if what departs is kept."""
    was, now = old.collection(type_url), new.collection(type_url)
    if now is was:
        return
    difference = now.since(was)
    arrived = [each.value for name, each in difference.changed.items() if name not in was]
    for name in difference.removed:
        if type_url != LISTENER or _address(was[name].value) not in map(_address, arrived):
            yield was[name]
    for name, resource in difference.changed.items():
        before = was.get(name)
        more = departing(before.value, resource.value) if before is not None else b""
        if before is not None and more:
            origins = (*resource.origins, *before.origins)
            yield Resource(type_url, name, resource.value + more, origins=origins)


def _address(listener: bytes) -> bytes:
    encoded: bytes = _Listener.FromString(listener).address.SerializeToString(deterministic=True)
    return encoded


def _departing_chains(old: bytes, new: bytes) -> bytes:
    """Return the fields of a Listener that are to be kept: filter chains, without server names that new
    chains take, and the listener filters that they need."""
    gone, fresh = _replaced(old, new, _FILTER_CHAINS)
    if not gone:
        return b""
    taken: set[tuple[bytes, str]] = set()
    for chain in _Listener.FromString(fresh).filter_chains:
        names, rest = _match(chain)
        taken.update((rest, name) for name in names)
    left = _Listener()
    for chain in _Listener.FromString(gone).filter_chains:
        names, rest = _match(chain)
        free = [name for name in names if (rest, name) not in taken]
        if free:
            kept = left.filter_chains.add()
            kept.CopyFrom(chain)
            if free != list(_ANY_NAME):
                kept.filter_chain_match.server_names[:] = free
    if not left.filter_chains:
        return b""
    there = {each.name for each in _filters(new)}
    left.listener_filters.extend(each for each in _filters(old) if each.name not in there)
    return bytes(left.SerializeToString(deterministic=True))


def _match(chain: Any) -> tuple[tuple[str, ...], bytes]:
    """Return the server names of a filter chain, "" for any, and what else it matches."""
    match = type(chain.filter_chain_match)()
    match.CopyFrom(chain.filter_chain_match)
    names = tuple(match.server_names) or _ANY_NAME
    match.ClearField("server_names")
    return names, match.SerializeToString(deterministic=True)


def _filters(listener: bytes) -> Iterable[Any]:
    found: Iterable[Any] = _Listener.FromString(
        b"".join(_fields(listener, _LISTENER_FILTERS))
    ).listener_filters
    return found


def _departing_hosts(old: bytes, new: bytes) -> bytes:
    """Return the fields of a RouteConfiguration that are to be kept: virtual hosts that have routes, without
    domains that new ones take."""
    gone, fresh = _replaced(old, new, _VIRTUAL_HOSTS)
    if not gone:
        return b""
    hosts = _RouteConfiguration.FromString(fresh).virtual_hosts
    taken = {domain for host in hosts for domain in host.domains}
    left = _RouteConfiguration()
    for host in _RouteConfiguration.FromString(gone).virtual_hosts:
        free = [domain for domain in host.domains if domain not in taken]
        if free and host.routes:
            kept = left.virtual_hosts.add()
            kept.CopyFrom(host)
            kept.domains[:] = free
    return bytes(left.SerializeToString(deterministic=True))


def _replaced(old: bytes, new: bytes, number: int) -> tuple[bytes, bytes]:
    """Return the fields of that number that only the old message has, and those that only the new one has."""
    begin, end = _same_ends(old, new)
    before, after = _fields(old, number, begin, end), _fields(new, number, begin, end)
    known, wanted = set(before), set(after)
    gone = b"".join([field for field in before if field not in wanted])
    return gone, b"".join([field for field in after if field not in known]) if gone else b""


def _same_ends(old: bytes, new: bytes) -> tuple[int, int]:
    """Return how many bytes, or some less, two messages have in common at the beginning and at the end."""
    shorter = min(len(old), len(new))
    begin = 0
    while begin < shorter and old[begin : begin + _BLOCK] == new[begin : begin + _BLOCK]:
        begin += _BLOCK
    end = 0
    while begin + end + _BLOCK <= shorter and (
        old[len(old) - end - _BLOCK : len(old) - end] == new[len(new) - end - _BLOCK : len(new) - end]
    ):
        end += _BLOCK
    return min(begin, shorter), end


def _fields(message: bytes, number: int, begin: int = 0, end: int = 0) -> list[bytes]:
    """Return the fields of that number, each with its key and length, from an encoded message. Those that lie
    wholly in its first `begin` or its last `end` bytes are left out."""
    found = []
    start, stop = 0, len(message) - end
    while start < stop:
        key, at = message[start], start + 1
        if key >= 0x80:
            key, at = _varint(message, start)
        kind = key & 7
        if kind == _LENGTH_DELIMITED:
            size = message[at]
            at += 1
            if size >= 0x80:
                size, at = _varint(message, at - 1)
            at += size
        elif kind == 0:
            _, at = _varint(message, at)
        else:
            at += 8 if kind == 1 else 4
        if at > begin and key >> 3 == number:
            found.append(message[start:at])
        start = at
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number that is written there, and where the next one begins."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
