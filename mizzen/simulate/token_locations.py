"""Locations of tokens in a request: headers, query parameters, cookies.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/jwt_authn/v3/config.proto,
JwtProvider, from_headers and the fields after it
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, unquote

from mizzen.simulate.request import Request

_TOKEN_BEGINS: Final = re.compile(r"[A-Za-z0-9\-_.]")
_HEADER, _PARAMETER, _COOKIE = "header", "parameter", "cookie"


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """One location: a header, where the token comes after `prefix`, a query parameter, or a cookie."""

    kind: str
    name: str
    prefix: str = ""

    def texts(self, request: Request) -> Iterator[str]:
        """Yield the tokens that a request has there, undecoded."""
        if self.kind == _HEADER:
            for value in request.values(self.name):
                at = value.find(self.prefix)
                if at >= 0:
                    begin = _TOKEN_BEGINS.search(value, at + len(self.prefix)) if self.prefix else None
                    yield value[begin.start() :] if begin is not None else value
        elif self.kind == _PARAMETER:
            given = request.query.get(self.name)
            if given is not None:
                yield unquote(given)
        else:
            yield from _cookie(request, self.name)

    def remove(self, request: Request) -> None:
        """Remove the token from a request. Envoy does not change cookies."""
        if self.kind == _HEADER:
            request.remove_header(self.name)
        elif self.kind == _PARAMETER:
            request.retarget(_without(request.target, self.name))


_DEFAULTS: Final = (Location(_HEADER, "authorization", "Bearer "), Location(_PARAMETER, "access_token"))


def locations(provider: Any) -> tuple[Location, ...]:
    """Return where the tokens of a JwtProvider are looked for. The defaults are the header Authorization and
    the query parameter access_token."""
    found = (
        *(Location(_HEADER, each.name.lower(), str(each.value_prefix)) for each in provider.from_headers),
        *(Location(_PARAMETER, str(name)) for name in provider.from_params),
        *(Location(_COOKIE, str(name)) for name in provider.from_cookies),
    )
    return found or _DEFAULTS


def in_order(unordered: Iterable[Location]) -> list[Location]:
    """Return locations in the order in which Envoy looks at them: headers,
    parameters, cookies, each by name."""
    kinds = (_HEADER, _PARAMETER, _COOKIE)
    return sorted(unordered, key=lambda each: (kinds.index(each.kind), each.name + each.prefix))


def _cookie(request: Request, name: str) -> Iterator[str]:
    for header in request.values("cookie"):
        for pair in header.split(";"):
            key, equals, value = pair.strip().partition("=")
            if equals and key == name:
                yield value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
                return


def _without(target: str, name: str) -> str:
    """Return a path without a query parameter; the other parameters are sorted, as Envoy writes them."""
    path, _, query = target.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    kept = sorted(((unquote(key), unquote(value)) for key, _, value in pairs), key=lambda each: each[0])
    text = "&".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in kept if key != name)
    return f"{path}?{text}" if text else path
