"""Resources that a gateway is about to lose, kept beside the new ones until no sidecar uses them any more.

Sidecars get an update one after the other, and calls on their way still use the previous routes. So a gateway
first gets the union of its previous and its new resources, and can handle both kinds of calls.

Kept parts of a listener or a route configuration are appended to the bytes of the new one, which is valid for
repeated fields (`mizzen.xds.wire`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Snapshot
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from mizzen.xds.wire import fields, replaced_fields

_Listener = listener_pb2.Listener
_RouteConfiguration = route_pb2.RouteConfiguration
_FILTER_CHAINS: Final = int(_Listener.DESCRIPTOR.fields_by_name["filter_chains"].number)
_LISTENER_FILTERS: Final = int(_Listener.DESCRIPTOR.fields_by_name["listener_filters"].number)
_VIRTUAL_HOSTS: Final = int(_RouteConfiguration.DESCRIPTOR.fields_by_name["virtual_hosts"].number)

_ANY_NAME: Final = ("",)


def with_departing(old: Snapshot, new: Snapshot) -> Snapshot:
    """Return `new` together with the departing resources, or `new` itself if there are none.

    Departing are the listeners, filter chains and virtual hosts that only `old` has, with the clusters,
    endpoints and secrets that they may need. Resources in both are those of `new`. A filter chain is not kept
    if new chains take all its connections, nor a domain that a new virtual host has, nor a listener whose
    address a new one has: Envoy would reject the union.
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
    """Yield the resources of a type that must be added to `new`, or replaced in it, to keep departing
    ones."""
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
    """Return the encoded fields of a Listener to keep: filter chains without the server names of new chains,
    and the listener filters that they need."""
    gone, fresh = replaced_fields(old, new, _FILTER_CHAINS)
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
    """Return the server names of a filter chain ("" for any), and the rest of its match."""
    match = type(chain.filter_chain_match)()
    match.CopyFrom(chain.filter_chain_match)
    names = tuple(match.server_names) or _ANY_NAME
    match.ClearField("server_names")
    return names, match.SerializeToString(deterministic=True)


def _filters(listener: bytes) -> Iterable[Any]:
    found: Iterable[Any] = _Listener.FromString(
        b"".join(fields(listener, _LISTENER_FILTERS))
    ).listener_filters
    return found


def _departing_hosts(old: bytes, new: bytes) -> bytes:
    """Return the encoded fields of a RouteConfiguration to keep: virtual hosts that have routes, without the
    domains of new ones."""
    gone, fresh = replaced_fields(old, new, _VIRTUAL_HOSTS)
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
