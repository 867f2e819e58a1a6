"""A request as a connection manager sees it when it looks for a route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mizzen.simulate.call import Call

_NO_METADATA: Final[Mapping[str, Mapping[str, Any]]] = {}


class Request:
    """Method, path, authority, scheme and headers of a request.

    `target` is the path with the query, `path` without. `forwarded_scheme` is X-Forwarded-Proto as the
    connection manager leaves it; `scheme` is `:scheme`, the same unless the client says it. `headers`
    has all values of each name.
    """

    __slots__ = (
        "_query",
        "authority",
        "dynamic_metadata",
        "forwarded_scheme",
        "headers",
        "method",
        "path",
        "scheme",
        "target",
    )

    def __init__(
        self, call: Call, authority: str, target: str, forwarded_scheme: str, scheme: str = ""
    ) -> None:
        self.method = call.method
        self.authority = authority
        self.target = target
        question = target.find("?")
        self.path = target if question < 0 else target[:question]
        self.forwarded_scheme = forwarded_scheme
        self.scheme = scheme or forwarded_scheme
        self.dynamic_metadata = call.dynamic_metadata or _NO_METADATA
        self._query: dict[str, str] | None = None
        self.headers: dict[str, tuple[str, ...]] = {}
        for name, value in call.headers:
            lower = name.lower()
            self.headers[lower] = (*self.headers.get(lower, ()), value.strip())

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
        """Return the first value of a header, empty if there is none."""
        return next(iter(self.values(name)), "")

    @property
    def is_grpc(self) -> bool:
        """Whether the content type is that of gRPC."""
        content_type = self.header("content-type")
        return content_type == "application/grpc" or content_type.startswith("application/grpc+")

    @property
    def query(self) -> Mapping[str, str]:
        """The first value of each query parameter, as it was sent."""
        if self._query is None:
            self._query = {}
            _, question, query = self.target.partition("?")
            for pair in query.split("&") if question else ():
                name, _, value = pair.partition("=")
                self._query.setdefault(name, value)
        return self._query
