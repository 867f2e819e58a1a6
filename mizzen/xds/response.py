"""The content of a response, encoded once for all clients that receive it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from mizzen.xds import wire
from mizzen.xds.resource import Resource


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """The form of a response, apart from its content; clients with the same form share one object.

    Attributes:
        delta: send DeltaDiscoveryResponse instead of DiscoveryResponse.
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
"""Most bytes of a response that is cached even if only one client asked for it."""


class ResponseContent:
    """Resources and removed names of one response, with the version that the client has after it."""

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
        """The encoded response.

        A large response that only one client asked for is not cached: with a thousand different clients such
        responses would take most of the memory. Every other response is cached in two forms: without a nonce,
        and with the last nonce. Nonces are unique in one stream only, so clients that connected together
        have reached the same nonce, and a large response exists once for all of them.
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
    """The resources without duplicates ("Duplicate Resource Names"): a client may ask for a name and its
    alias.
    """
    return tuple({r.name: r for r in resources if r is not None}.values())


class Response(NamedTuple):
    """A response to send: the encoded message (`data`), and its content for logs and tests."""

    type_url: str
    nonce: str
    version: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...]
    data: bytes
