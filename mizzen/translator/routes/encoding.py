"""Route configurations as bytes, joined from parts that were encoded before.

In protobuf's wire format, a message is the sequence of its fields, and a sub-message is a key, a length and
its bytes (https://protobuf.dev/programming-guides/encoding/). So a virtual host is a small head followed by
the bytes of its routes, and a route configuration is a head followed by the bytes of its virtual hosts. If
one of ten thousand virtual hosts changes, only that one is encoded again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain
from operator import attrgetter
from typing import Any, Final, NamedTuple

from envoy.config.route.v3 import route_components_pb2, route_pb2

from mizzen.config.diagnostics import Origin
from mizzen.persistent import ChunkedSequence
from mizzen.xds.resource import Resource
from mizzen.xds.type_urls import ROUTE
from mizzen.xds.wire import length_delimited, varint

MAX_DIRECT_RESPONSE_BODY_BYTES: Final = 1024 * 1024
"""Istio's limit for the body of a direct response; Envoy's default is 4 KiB."""


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
    """Return the bytes of a message; equal messages have equal bytes."""
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def encoded_routes(routes: Iterable[bytes]) -> bytes:
    """Return the `routes` fields of a VirtualHost from encoded Route messages."""
    return b"".join([length_delimited(ROUTES, route) for route in routes])


class EncodedVirtualHost:
    """A virtual host in the encoded form that a route configuration contains.

    The `virtual_hosts` field consists of `start`, with key and length, and `routes`, which virtual hosts of
    several namespaces share. `digest` is a hash of both; `places` are the origins of the rules.
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
    """The bytes of a route configuration: its start, and its virtual hosts, which configurations of several
    proxies share."""

    __slots__ = ("_hosts", "_start")

    def __init__(self, start: bytes, hosts: Sequence[EncodedVirtualHost]) -> None:
        self._start = start
        self._hosts = hosts

    def __iter__(self) -> Iterator[bytes]:
        return _joined(self._start, self._hosts)


def _joined(start: bytes, hosts: Iterable[EncodedVirtualHost]) -> Iterator[bytes]:
    return iter([start, *[piece for host in hosts for piece in (host.start, host.routes)]])


def route_configuration_resource(
    head: Any, virtual_hosts: Sequence[EncodedVirtualHost], origins: tuple[Origin, ...] = ()
) -> Resource:
    """Return a RouteConfiguration from `head`, which has no virtual hosts, and the encoded virtual hosts.

    Its version is a hash of the parts' digests, so that only changed parts are hashed. Its bytes are joined
    only when they are sent, because many configurations share most of their virtual hosts.
    """
    start = encode(head)
    digests = [host.digest for host in virtual_hosts]
    return Resource.joined(ROUTE, head.name, _Pieces(start, virtual_hosts), _version(start, digests), origins)


def port_configuration_resource(
    head: Any, sorted_hosts: ChunkedSequence[EncodedVirtualHost], *others: EncodedVirtualHost
) -> Resource:
    """Return the RouteConfiguration of a port: `sorted_hosts`, sorted by name and each name once, then
    `others`. Its origins are those of the rules.

    The version contains the sum of the hosts' digests, kept for each chunk. So a change costs only the chunks
    that it touches. The sum identifies the hosts: it does not depend on the division into chunks, and the
    names determine the order.
    """
    total = sum([chunk.digests for chunk in sorted_hosts.of_chunks(_Summary.of)])
    return PortPieces(encode(head), sorted_hosts, others, total).resource(head.name)


class Substitution(NamedTuple):
    """The virtual hosts that the RouteConfiguration of a port has for some proxies: `come` instead of `gone`,
    and `others` after them; None if these are the same."""

    gone: tuple[EncodedVirtualHost, ...]
    come: tuple[EncodedVirtualHost, ...]
    others: tuple[EncodedVirtualHost, ...] | None = None


def substituted(below: Resource, substitution: Substitution) -> Resource:
    """Return the RouteConfiguration `below` with other virtual hosts, which costs only these."""
    pieces = below.pieces
    assert isinstance(pieces, PortPieces)
    return pieces.substituted(substitution).resource(below.name)


class PortPieces(Iterable[bytes]):
    """The bytes of the RouteConfiguration of a port, and what its version is made from: `total` is the sum of
    the digests of its virtual hosts without `others`."""

    __slots__ = ("_hosts", "_start", "_substitution", "_total", "others")

    def __init__(
        self,
        start: bytes,
        hosts: ChunkedSequence[EncodedVirtualHost],
        others: tuple[EncodedVirtualHost, ...],
        total: int,
        substitution: Substitution | None = None,
    ) -> None:
        self._start = start
        self._hosts = hosts
        self._total = total
        self._substitution = substitution
        self.others = others

    @property
    def hosts(self) -> ChunkedSequence[EncodedVirtualHost]:
        """The virtual hosts without `others`."""
        instead = self._substitution
        if instead is None:
            return self._hosts
        # By name: the configuration may have kept equal hosts that were encoded before.
        gone = [self._hosts.find(host.name, _by_name) for host in instead.gone]
        return self._hosts.updated(gone, instead.come, _by_name)

    def substituted(self, substitution: Substitution) -> PortPieces:
        """Return the pieces with a substitution; these have none."""
        total = self._total + sum([host.digest for host in substitution.come])
        total -= sum([host.digest for host in substitution.gone])
        others = self.others if substitution.others is None else substitution.others
        return PortPieces(self._start, self._hosts, others, total, substitution)

    def resource(self, name: str) -> Resource:
        """Return the RouteConfiguration."""
        digests = (self._total % _MODULUS, *[host.digest for host in self.others])
        return Resource.joined(ROUTE, name, self, _version(self._start, digests), self._origins)

    def _origins(self) -> tuple[Origin, ...]:
        places: dict[int, tuple[Origin, ...]] = {}
        for chunk in self.hosts.of_chunks(_Summary.of):
            places.update(chunk.places)
        return tuple(chain.from_iterable(places.values()))

    def __iter__(self) -> Iterator[bytes]:
        return _joined(self._start, (*self.hosts, *self.others))


class _Summary(NamedTuple):
    """The sum of the digests of some virtual hosts, and the origins of their rules by identity: all virtual
    hosts of a VirtualService have the same tuple."""

    digests: int
    places: dict[int, tuple[Origin, ...]]

    @staticmethod
    def of(hosts: Sequence[EncodedVirtualHost]) -> _Summary:
        places = [host.places for host in hosts]
        return _Summary(sum([host.digest for host in hosts]), dict(zip(map(id, places), places, strict=True)))


_by_name = attrgetter("name")


def _version(start: bytes, digests: Iterable[int]) -> str:
    version = blake2b(start, digest_size=_DIGEST)
    version.update(b"".join([digest.to_bytes(_DIGEST, "big") for digest in digests]))
    return version.hexdigest()


def route_configuration_head(name: str, *, ports_matter: bool = False) -> Any:
    """Return a RouteConfiguration without virtual hosts, with the settings that all have.

    Envoy does not check clusters, because a route may arrive before its cluster. It ignores the port in a
    Host header, unless `ports_matter`: then each domain is listed with and without the port.
    """
    head = route_pb2.RouteConfiguration(name=name, ignore_port_in_host_matching=not ports_matter)
    head.validate_clusters.value = False
    head.max_direct_response_body_size_bytes.value = MAX_DIRECT_RESPONSE_BODY_BYTES
    return head


def empty_route_configuration(name: str) -> Resource:
    """Return an empty configuration, the answer for an unknown name, so that Envoy does not wait for one."""
    head = route_pb2.RouteConfiguration(name=name)
    head.validate_clusters.value = False
    return route_configuration_resource(head, ())
