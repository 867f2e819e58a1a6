"""Finds the parts of a rejected resource that Envoy may have rejected: parts that it did not accept before.

    found = suspect_places(refused, accepted, PartOrigins(translation, proxy), "unknown cluster 'x'")

A route configuration is made from many documents, and one of them is wrong. Its message is compared with the
last one that Envoy accepted. If Envoy's error names a part, fewer parts remain. It names a part by number, as
in `RouteConfigurationValidationError.VirtualHosts[3]`, or by something inside it, as in `unknown cluster
'x'`. These forms are those of Envoy 1.40.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from mizzen.config.document import GroupKind
from mizzen.config.group_kinds import PEER_AUTHENTICATION
from mizzen.explain.chain_words import chains
from mizzen.explain.origins import PartOrigins, Places
from mizzen.translator.filters.declared import Filter
from mizzen.translator.filters.http import HTTP_FILTERS
from mizzen.translator.filters.network import NETWORK_FILTERS
from mizzen.translator.listeners.http_connection_manager import NAME as HTTP_CONNECTION_MANAGER
from mizzen.translator.translate_result import MESSAGES, TYPE_URLS
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource

_MESSAGES: Final = {TYPE_URLS[kind]: message for kind, message in MESSAGES.items()}

_LISTED: Final = "Error adding/updating"
"""After these words Envoy lists clusters or listeners, each name with its reason."""
_DUMPED: Final = "Proto constraint validation failed"
"""Before these words Envoy may print the whole message, which names every part."""
_NUMBER: Final = re.compile(r"\b(VirtualHosts|Routes|FilterChains|Endpoints|LbEndpoints)\[(\d+)\]")
_NAMED: Final = (
    re.compile(r"'([^'\n]{2,200})'"),
    re.compile(r"\bof (?:domain|route) (\S+)"),
    re.compile(r": ([^:\n]{4,200})$"),
)

_FILTERS: Final[tuple[Filter[Any], ...]] = (*HTTP_FILTERS, *NETWORK_FILTERS)
_POLICY_FILTERS: Final = {each.name: each.policy for each in _FILTERS if each.policy is not None}
"""The filters that are made from policies, by name, with the kind of the policies."""

_POLICY_FIELDS: Final = frozenset(
    {
        "circuit_breakers",
        "common_lb_config",
        "connect_timeout",
        "lb_policy",
        "least_request_lb_config",
        "load_balancing_policy",
        "maglev_lb_config",
        "outlier_detection",
        "ring_hash_lb_config",
        "round_robin_lb_config",
        "upstream_connection_options",
    }
)
"""Fields of a Cluster that only a DestinationRule or MeshConfig sets."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a message: its bytes, a function that finds its lines, and its number in Envoy's error."""

    content: bytes
    find: Callable[[PartOrigins], Places]
    number: tuple[tuple[str, str], ...] = ()


def suspect_places(
    refused: Resource, accepted: Resource | None, origins: PartOrigins, words: str = ""
) -> Places:
    """Return the places of the parts of a rejected resource that were not accepted before.

    `accepted` is its last accepted version, or None; `words` is Envoy's error. The result is empty if no part
    has a place of its own, or if the proxy is now sent a different version: then only the places of the whole
    resource are known.
    """
    if refused.type_url not in _SUSPECTS or not origins.is_current(refused):
        return ()
    decode = _MESSAGES[refused.type_url].FromString
    old = decode(accepted.value) if accepted is not None else None
    found = list(_SUSPECTS[refused.type_url](old, decode(refused.value)))
    said = words.partition(f"{refused.name}: ")[2].partition("\n")[0] if _LISTED in words else words
    places = (place for part in _named(found, said) for place in part.find(origins))
    return tuple(dict.fromkeys(places))


def _named(parts: Sequence[_Part], words: str) -> Sequence[_Part]:
    """Return the parts that Envoy's error names; all parts if it names none."""
    said = words.strip().rpartition(_DUMPED)[2]
    number = tuple(_NUMBER.findall(said))
    found = [part for part in parts if number and _agree(part.number, number)]
    if found:
        return found
    for form in _NAMED:
        for word in form.findall(said):
            parts = _holding(parts, word.encode()) or parts
    return parts


def _holding(parts: Sequence[_Part], word: bytes) -> Sequence[_Part]:
    """Return the parts with a field that equals the word; else the parts that contain the word."""
    field = bytes([len(word)]) + word if len(word) < 128 else word  # as protobuf writes a short text
    return [part for part in parts if field in part.content] or [
        part for part in parts if word in part.content
    ]


def _agree(one: tuple[tuple[str, str], ...], other: tuple[tuple[str, str], ...]) -> bool:
    return bool(one) and all(mine == its for mine, its in zip(one, other, strict=False))


def _routes(old: Any | None, new: Any) -> Iterator[_Part]:
    """Yield the changed routes of a RouteConfiguration, and virtual hosts that changed in other fields."""
    before = {host.name: host for host in old.virtual_hosts} if old is not None else {}
    for index, host in enumerate(new.virtual_hosts):
        was = before.get(host.name)
        if was == host:
            continue
        number = ("VirtualHosts", str(index))
        known = {_bytes(route) for route in was.routes} if was is not None else set()
        routes = [
            _Part(_bytes(route), _route_finder(new.name, host.name, at), (number, ("Routes", str(at))))
            for at, route in enumerate(host.routes)
            if _bytes(route) not in known
        ]
        yield from routes or [_Part(_bytes(host), _host_finder(new.name, host.name), (number,))]


def _chains(old: Any | None, new: Any) -> Iterator[_Part]:
    """Yield the changed filter chains of a Listener, or their policies; the listener, if other fields
    changed."""
    before = {_chain_key(chain): chain for _, chain in chains(old)} if old is not None else {}
    name = str(new.name)
    for index, chain in chains(new):
        was = before.get(_chain_key(chain))
        if was == chain:
            continue
        rest, filters = _taken_apart(chain)
        rest_before, filters_before = _taken_apart(was) if was is not None else (b"", [])
        kinds = {kind for kind, content in filters if (kind, content) not in filters_before}
        number = (("FilterChains", str(index)),)
        if rest != rest_before:
            if was is None or was.transport_socket != chain.transport_socket:
                kinds.add(PEER_AUTHENTICATION)
            yield _Part(_bytes(chain), _chain_finder(name, index, chain), number)
        if kinds:
            yield _Part(_bytes(chain), _policy_finder(name, frozenset(kinds)), number)
    if old is None or _without(old, _CHAINS) != _without(new, _CHAINS):
        yield _Part(_bytes(_without(new, _CHAINS)), lambda origins: origins.listener(name))


_CHAINS: Final = frozenset({"filter_chains", "default_filter_chain"})


def _taken_apart(chain: Any) -> tuple[bytes, list[tuple[GroupKind, bytes]]]:
    """Return a filter chain without the filters that come from policies, and these filters by policy kind."""
    rest = type(chain)()
    rest.CopyFrom(chain)
    filters = _take_out(rest.filters)
    for each in rest.filters:
        if each.name == HTTP_CONNECTION_MANAGER:
            manager: Any = http_connection_manager_pb2.HttpConnectionManager()
            each.typed_config.Unpack(manager)
            filters += _take_out(manager.http_filters)
            each.typed_config.value = _bytes(manager)
    return _bytes(rest), filters


def _take_out(filters: Any) -> list[tuple[GroupKind, bytes]]:
    taken = [each for each in filters if each.name in _POLICY_FILTERS]
    found = [(_POLICY_FILTERS[each.name], _bytes(each)) for each in taken]
    for each in taken:
        filters.remove(each)
    return found


def _chain_key(chain: Any) -> tuple[str, bytes]:
    return chain.name, _bytes(chain.filter_chain_match)


def _cluster(old: Any | None, new: Any) -> Iterator[_Part]:
    """Yield the Cluster, or only its policy if nothing else changed."""
    name = str(new.name)
    if old is not None and _without(old, _POLICY_FIELDS) == _without(new, _POLICY_FIELDS):
        yield _Part(_bytes(new), lambda origins: origins.cluster_policy(name) or origins.cluster(name))
    else:
        yield _Part(_bytes(new), lambda origins: origins.cluster(name))


def _endpoints(old: Any | None, new: Any) -> Iterator[_Part]:
    """Yield the changed endpoints of a ClusterLoadAssignment, or the cluster if other fields changed."""
    known = {_bytes(each) for place in old.endpoints for each in place.lb_endpoints} if old else set()
    name = str(new.cluster_name)
    count = 0
    for at, place in enumerate(new.endpoints):
        for index, each in enumerate(place.lb_endpoints):
            if _bytes(each) not in known:
                count += 1
                number = ("Endpoints", str(at)), ("LbEndpoints", str(index))
                yield _Part(_bytes(each), _endpoint_finder(name, each), number)
    if not count:
        yield _Part(_bytes(new), lambda origins: origins.cluster(name))


_SUSPECTS: Final[dict[str, Callable[[Any | None, Any], Iterator[_Part]]]] = {
    type_urls.ROUTE: _routes,
    type_urls.LISTENER: _chains,
    type_urls.CLUSTER: _cluster,
    type_urls.ENDPOINT: _endpoints,
}


def _route_finder(configuration: str, host: str, index: int) -> Callable[[PartOrigins], Places]:
    return lambda origins: origins.route(configuration, host, index)


def _host_finder(configuration: str, host: str) -> Callable[[PartOrigins], Places]:
    return lambda origins: origins.virtual_host(configuration, host)


def _chain_finder(listener: str, index: int, chain: Any) -> Callable[[PartOrigins], Places]:
    names = tuple(chain.filter_chain_match.server_names)
    return lambda origins: origins.filter_chain(listener, index, name=chain.name, server_names=names)


def _policy_finder(listener: str, kinds: frozenset[GroupKind]) -> Callable[[PartOrigins], Places]:
    return lambda origins: origins.policies(listener, kinds)


def _endpoint_finder(cluster: str, endpoint: Any) -> Callable[[PartOrigins], Places]:
    address = endpoint.endpoint.address.socket_address.address
    return lambda origins: origins.endpoint(cluster, address)


def _bytes(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def _without(message: Any, fields: frozenset[str]) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    for field in fields:
        copied.ClearField(field)
    return copied
