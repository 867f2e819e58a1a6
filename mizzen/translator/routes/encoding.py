"""Route configurations as bytes: joined from parts that were encoded before.

In protobuf's wire format a message is its fields one behind the other, and a sub-message is its bytes behind
a key and a length (https://protobuf.dev/programming-guides/encoding/). So a virtual host is its small head
and the bytes of its routes, and a route configuration of ten thousand virtual hosts is its head and their
bytes: a change of one of them encodes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Any, Final, NamedTuple

from envoy.config.route.v3 import route_components_pb2, route_pb2

from mizzen.config.diagnostics import Origin
from mizzen.persistent import ChunkedSequence
from mizzen.xds.resource import Resource
from mizzen.xds.type_urls import ROUTE
from mizzen.xds.wire import varint

MAX_DIRECT_RESPONSE_BODY_BYTES: Final = 1024 * 1024
"""What Istio allows a direct response to hold; Envoy's default is 4 KiB."""


_LENGTHS: Final = tuple(varint(size) for size in range(4096))
"""The encoded lengths of what is encoded by the ten thousand."""


def length_delimited(number: int, *pieces: bytes) -> bytes:
    """Return field `number` of a VirtualHost, Route... from its joined pieces."""
    body = b"".join(pieces)
    size = len(body)
    return _LENGTHS[number << 3 | 2] + (_LENGTHS[size] if size < len(_LENGTHS) else varint(size)) + body


def _number(message: Any, field: str) -> int:
    return int(message.DESCRIPTOR.fields_by_name[field].number)


VIRTUAL_HOSTS: Final = _number(route_pb2.RouteConfiguration, "virtual_hosts")
ROUTES: Final = _number(route_components_pb2.VirtualHost, "routes")
ROUTE_ACTION: Final = _number(route_components_pb2.Route, "route")
DECORATOR: Final = _number(route_components_pb2.Route, "decorator")
OPERATION: Final = _number(route_components_pb2.Decorator, "operation")
CLUSTER: Final = _number(route_components_pb2.RouteAction, "cluster")
HASH_POLICY: Final = _number(route_components_pb2.RouteAction, "hash_policy")


def encode(message: Any) -> bytes:
    """Return the bytes of a message, the same every time."""
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def encoded_routes(routes: Iterable[bytes]) -> bytes:
    """Return the `routes` fields of a VirtualHost from encoded Route messages."""
    return b"".join([length_delimited(ROUTES, route) for route in routes])


class EncodedVirtualHost:
    """A virtual host as it stands in the bytes of a route configuration.

    The whole `virtual_hosts` field is `start`, with key and length, and `routes`, which virtual hosts of
    several namespaces have in common; `digest` stands for its content, `places` are those of its rules.
    """

    __slots__ = ("__weakref__", "digest", "name", "places", "routes", "start")

    def __init__(self, head: Any, routes: bytes, places: tuple[Origin, ...] = ()) -> None:
        """`head` is a VirtualHost without routes, `routes` their encoded fields."""
        self.name: str = head.name
        self.places = places
        encoded = encode(head)
        self.start = b"".join((varint(VIRTUAL_HOSTS << 3 | 2), varint(len(encoded) + len(routes)), encoded))
        self.routes = routes
        digest = blake2b(self.start, digest_size=_DIGEST)
        digest.update(routes)
        self.digest = int.from_bytes(digest.digest(), "big")


_DIGEST: Final = 12
_MODULUS: Final = 1 << 8 * _DIGEST


class _Pieces(Iterable[bytes]):
    """The bytes of a route configuration: its start, and its virtual hosts, which it has in common with
    configurations of other proxies."""

    __slots__ = ("_hosts", "_start")

    def __init__(self, start: bytes, *hosts: Sequence[EncodedVirtualHost]) -> None:
        self._start = start
        self._hosts = hosts

    def __iter__(self) -> Iterator[bytes]:
        hosts = chain.from_iterable(self._hosts)
        return iter([self._start, *[piece for host in hosts for piece in (host.start, host.routes)]])


def route_configuration_resource(
    head: Any, virtual_hosts: Sequence[EncodedVirtualHost], origins: tuple[Origin, ...] = ()
) -> Resource:
    """Return a RouteConfiguration from `head`, one without virtual hosts, and the encoded virtual hosts.

    Its version comes from the digests of the parts: hashing what changed is enough. Its bytes are joined when
    they are sent: many configurations have most of their virtual hosts in common.
    """
    start = encode(head)
    digests = [host.digest for host in virtual_hosts]
    return Resource.joined(ROUTE, head.name, _Pieces(start, virtual_hosts), _version(start, digests), origins)


def port_configuration_resource(
    head: Any, sorted_hosts: ChunkedSequence[EncodedVirtualHost], *others: EncodedVirtualHost
) -> Resource:
    """Return the RouteConfiguration of a port, whose virtual hosts stand in the order of their names, each
    name once, before `others`. Its origins are the places of the rules.

    A change costs the chunks that it touches: the sum of the digests does not depend on what is in which
    chunk, and stands for the hosts, as their order follows from them.
    """
    start = encode(head)
    chunks = sorted_hosts.of_chunks(_Summary.of)
    total = sum([chunk.digests for chunk in chunks]) % _MODULUS
    version = _version(start, (total, *[host.digest for host in others]))
    places = {id(each): each for chunk in chunks for each in chunk.places}
    origins = tuple(chain.from_iterable(places.values()))
    return Resource.joined(ROUTE, head.name, _Pieces(start, sorted_hosts, others), version, origins)


class _Summary(NamedTuple):
    """The sum of the digests of some virtual hosts, and the places of their rules: virtual hosts of one
    VirtualService have the very same."""

    digests: int
    places: tuple[tuple[Origin, ...], ...]

    @staticmethod
    def of(hosts: Sequence[EncodedVirtualHost]) -> _Summary:
        places = {id(host.places): host.places for host in hosts}
        return _Summary(sum([host.digest for host in hosts]), tuple(places.values()))


def _version(start: bytes, digests: Iterable[int]) -> str:
    version = blake2b(start, digest_size=_DIGEST)
    version.update(b"".join([digest.to_bytes(_DIGEST, "big") for digest in digests]))
    return version.hexdigest()


def route_configuration_head(name: str, *, ports_matter: bool = False) -> Any:
    """Return what every route configuration of the mesh has besides its virtual hosts.

    Clusters are not checked, since a route may be there before its cluster. A port in a Host header is not
    compared, unless `ports_matter`: then the domains are there with and without it.
    """
    head = route_pb2.RouteConfiguration(name=name, ignore_port_in_host_matching=not ports_matter)
    head.validate_clusters.value = False
    head.max_direct_response_body_size_bytes.value = MAX_DIRECT_RESPONSE_BODY_BYTES
    return head


def empty_route_configuration(name: str) -> Resource:
    """Return the answer to a name that nothing is known of: no virtual hosts, so that Envoy need not wait."""
    head = route_pb2.RouteConfiguration(name=name)
    head.validate_clusters.value = False
    return route_configuration_resource(head, ())
