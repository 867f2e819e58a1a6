"""The content of a response, encoded once for all the clients that get it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from mizzen.xds import wire
from mizzen.xds.resource import Resource


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """What decides the form of a response besides its content; one object for all clients that share it.

    Attributes:
        delta: DeltaDiscoveryResponse instead of DiscoveryResponse.
        ttl: the client has the features that TTLs need ("TTL": xds.config.supports-resource-ttl, and
            xds.config.supports-resource-in-sotw for state of the world).
        control_plane: `ControlPlane.identifier` of the responses; may be empty.
    """

    delta: bool
    ttl: bool = False
    control_plane: str = ""


_TTL_FEATURES: Final = ("xds.config.supports-resource-ttl", "xds.config.supports-resource-in-sotw")


def supports_ttl(features: tuple[str, ...], *, delta: bool) -> bool:
    """Whether a client with these `Node.client_features` understands TTLs ("TTL", "SotW TTL")."""
    needed = _TTL_FEATURES[:1] if delta else _TTL_FEATURES
    return all(feature in features for feature in needed)


_SMALL = 16 * 1024
"""Bytes of a response that are kept even if nobody else should ever get it."""


class Batch:
    """Resources and removed names that travel in one response, with the version that it brings the client
    to.
    """

    __slots__ = ("_asked", "_bodies", "_last", "heartbeat", "removed", "resources", "type_url", "version")

    def __init__(
        self,
        type_url: str,
        version: str,
        resources: tuple[Resource, ...] = (),
        removed: tuple[str, ...] = (),
        *,
        heartbeat: bool = False,
    ) -> None:
        self.type_url = type_url
        self.version = version
        self.resources = resources
        self.removed = removed
        self.heartbeat = heartbeat
        self._asked = False
        self._bodies: dict[Dialect, bytes] = {}
        self._last: tuple[Dialect, str, bytes] | None = None

    def encode(self, dialect: Dialect, nonce: str) -> bytes:
        """The whole response.

        What is large and for one client only is not kept: what a thousand unlike clients hold would be most
        of the memory. All else is kept, without the nonce and with the last one: clients that connected
        together have come to the same nonce (nonces are unique in one stream only), so a large response
        exists once, not once for each client.
        """
        last = self._last
        if last is not None and last[0] is dialect and last[1] == nonce:
            return last[2]
        body = self._bodies.get(dialect)
        if body is None:
            body = self._body(dialect)
        encoded = body + wire.string(wire.RESPONSE_NONCE, nonce)
        if self._asked or len(body) <= _SMALL:
            self._bodies[dialect] = body
            self._last = (dialect, nonce, encoded)
        self._asked = True
        return encoded

    def _body(self, dialect: Dialect) -> bytes:
        pieces = [
            wire.string(wire.RESPONSE_VERSION, self.version),
            wire.string(wire.RESPONSE_TYPE_URL, self.type_url),
        ]
        if dialect.control_plane:
            number = wire.DELTA_CONTROL_PLANE if dialect.delta else wire.SOTW_CONTROL_PLANE
            pieces.append(wire.length_delimited(number, wire.string(1, dialect.control_plane)))
        if self.heartbeat:
            pieces += [r.heartbeat_field(wrapped=not dialect.delta) for r in self.resources]
        elif dialect.delta:
            pieces += [r.delta_field(ttl=dialect.ttl) for r in self.resources]
        else:
            pieces += [r.sotw_field(ttl=dialect.ttl) for r in self.resources]
        if dialect.delta:
            pieces += [wire.string(wire.DELTA_REMOVED, name) for name in self.removed]
        return b"".join(pieces)


def distinct(resources: Iterable[Resource | None]) -> tuple[Resource, ...]:
    """Each once ("Duplicate Resource Names"): a name and its alias may both have been asked for."""
    return tuple({r.name: r for r in resources if r is not None}.values())


class Response(NamedTuple):
    """What to send: the encoded message, and what it is for whoever looks on."""

    type_url: str
    nonce: str
    version: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...]
    data: bytes
