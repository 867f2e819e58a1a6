"""A request as a connection manager sees it when it looks for a route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mizzen.simulate.connection import Connection

_NO_METADATA: Final[Mapping[str, Mapping[str, Any]]] = {}
_JOINED: Final = frozenset(
    {
        *("accept", "accept-encoding", "access-control-request-headers", "access-control-request-method"),
        *("authorization", "content-type", "grpc-timeout", "origin", "referer", "te", "user-agent", "via"),
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"),
    }
)
"""Headers whose values Envoy joins into one, separated by commas."""


class Request:
    """Method, path, authority, scheme and headers of a request.

    `target` is the path with the query, `path` without. `forwarded_scheme` is X-Forwarded-Proto as the
    connection manager leaves it; `scheme` is `:scheme`, the same unless the client gives one. `headers` has
    all values of each name. `remote_address` is the client's address according to the connection manager.
    Filters change headers (`is_changed`), target and metadata; `reroutes`: the route is then chosen again.
    """

    __slots__ = (
        "_query",
        "authority",
        "claims",
        "connection",
        "dynamic_metadata",
        "forwarded_scheme",
        "headers",
        "is_changed",
        "method",
        "path",
        "remote_address",
        "reroutes",
        "scheme",
        "target",
    )

    def __init__(
        self, connection: Connection, authority: str, target: str, forwarded_scheme: str, scheme: str = ""
    ) -> None:
        call = connection.call
        self.connection = connection
        self.remote_address = call.source_address
        self.claims = call.claims
        self.is_changed = False
        self.reroutes = False
        self.method = call.method
        self.authority = authority
        self.retarget(target)
        self.forwarded_scheme = forwarded_scheme
        self.scheme = scheme or forwarded_scheme
        self.dynamic_metadata = call.dynamic_metadata or _NO_METADATA
        self.headers: dict[str, tuple[str, ...]] = {}
        for name, value in call.headers:
            lower, text = name.lower(), value.strip()
            before = self.headers.get(lower, ())
            self.headers[lower] = (f"{before[0]},{text}",) if before and lower in _JOINED else (*before, text)

    def retarget(self, target: str) -> None:
        """Set path and query."""
        self.target = target
        question = target.find("?")
        self.path = target if question < 0 else target[:question]
        self._query: dict[str, str] | None = None

    def add_header(self, name: str, value: str) -> None:
        """Add a header."""
        lower = name.lower()
        self.headers[lower] = (*self.headers.get(lower, ()), value)
        self.is_changed = True

    def remove_header(self, name: str) -> None:
        """Remove all headers of a name."""
        if self.headers.pop(name.lower(), None) is not None:
            self.is_changed = True

    def note(self, name: str, found: Mapping[str, Any]) -> None:
        """Add what a filter learned to the metadata under its name."""
        known = self.dynamic_metadata.get(name, {})
        self.dynamic_metadata = {**self.dynamic_metadata, name: {**known, **found}}

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values of a header, or of a part of the request line such as `:path`."""
        if name[:1] == ":":
            if name == ":method":
                return (self.method,)
            if name == ":path":
                return (self.target,)
            if name == ":scheme":
                return (self.scheme,)
            return (self.authority,) if name == ":authority" else ()
        # Envoy keeps the Host header as `:authority`.
        return (self.authority,) if name == "host" else self.headers.get(name, ())

    def header(self, name: str) -> str:
        """Return the first value of a header; empty if there is none."""
        return next(iter(self.values(name)), "")

    @property
    def is_grpc(self) -> bool:
        """True if the content type is that of gRPC."""
        content_type = self.header("content-type")
        return content_type == "application/grpc" or content_type.startswith("application/grpc+")

    @property
    def query(self) -> Mapping[str, str]:
        """The first value of each query parameter, undecoded."""
        if self._query is None:
            self._query = {}
            _, question, query = self.target.partition("?")
            for pair in query.split("&") if question else ():
                name, _, value = pair.partition("=")
                self._query.setdefault(name, value)
        return self._query


class NoRequest(Request):
    """The request of a connection without one: conditions on requests find nothing in it."""

    __slots__ = ()

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, "", "", "")
        self.headers = {}

    def values(self, name: str) -> tuple[str, ...]:
        """Return no values."""
        return ()
