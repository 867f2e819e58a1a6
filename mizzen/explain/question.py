"""A question: a request or a connection, as a person writes it."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SOME_CLAIMS: Final = '{"iss": "https://issuer.example", "sub": "jason"}'
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class QuestionError(ValueError):
    """The question cannot be understood; the message says what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request, or a connection without HTTP if `method` is empty.

    The client calls `host` and `port`. `authority` is the Host header. `tls`: the client itself speaks TLS,
    with `server_name` as SNI. `claims` is a JSON object: the request has a valid token with these claims, in
    a place where tokens of its issuer are read. `moment` is the time of the call, in seconds since 1970;
    without it the times in tokens do not count.
    """

    host: str
    port: int
    method: str = ""
    path: str = ""
    authority: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    http2: bool = False
    tls: bool = False
    server_name: str = ""
    claims: str = ""
    moment: float | None = None

    @classmethod
    def of_request(
        cls,
        method: str,
        url: str,
        headers: Iterable[str] = (),
        *,
        http2: bool = False,
        tls: bool = False,
        server_name: str = "",
        claims: str = "",
    ) -> Question:
        """Read a request: `headers` are `NAME: VALUE`. A header Host replaces the URL's host.

        Raises QuestionError.
        """
        if _METHOD.fullmatch(method) is None:
            raise QuestionError(f'"{method}" is no method; write GET http://reviews:9080/path')
        if "://" not in url:
            raise QuestionError(f'"{url}" has no scheme; write http://{url}, or https://{url}')
        parts = _split(url)
        if parts.scheme not in _DEFAULT_PORTS:
            raise QuestionError(f'"{url}" is no URL of HTTP; write one such as http://reviews:9080/path')
        host = parts.hostname or ""
        given = [_header(header) for header in headers]
        authority = next((value for name, value in given if name.lower() == "host"), "")
        query = f"?{parts.query}" if parts.query else ""
        encrypted = tls or parts.scheme == "https"
        return cls(
            host=host,
            port=_port(parts, url) or (443 if encrypted else 80),
            method=method,
            path=f"{parts.path or '/'}{query}",
            authority=authority or parts.netloc.rpartition("@")[2],
            headers=tuple(header for header in given if header[0].lower() != "host"),
            http2=http2,
            tls=encrypted,
            server_name=server_name or (_name(host) if encrypted else ""),
            claims=_claims(claims) if claims else "",
        )

    @classmethod
    def of_line(
        cls,
        line: str,
        headers: Mapping[str, str] | None = None,
        *,
        http2: bool = False,
        tls: bool = False,
        server_name: str = "",
        claims: Mapping[str, Any] | None = None,
    ) -> Question:
        """Read a request as tests write it: `GET http://reviews:9080/path`, where GET may be left out.

        Raises QuestionError.
        """
        method, url = method_and_url(line)
        given = [f"{name}: {value}" for name, value in (headers or {}).items()]
        text = json.dumps(claims) if claims else ""
        return cls.of_request(method, url, given, http2=http2, tls=tls, server_name=server_name, claims=text)

    @classmethod
    def of_connection(cls, target: str, *, tls: bool = False, server_name: str = "") -> Question:
        """Read `HOST:PORT`, a connection on which no HTTP is spoken. Raises QuestionError."""
        parts = _split(f"tcp://{target}")
        port = _port(parts, target)
        if port is None or parts.path or not parts.hostname:
            raise QuestionError(f'"{target}" is no HOST:PORT; write one such as mysql:3306')
        encrypted = tls or bool(server_name)
        name = server_name or (_name(parts.hostname) if encrypted else "")
        return cls(host=parts.hostname, port=port, tls=encrypted, server_name=name)

    def as_query(self) -> dict[str, str]:
        """Return the query parameters that ask a running server the same (`GET /debug/why`)."""
        yes = {"http2": self.http2, "tls": self.tls}
        found = {name: "1" for name, holds in yes.items() if holds}
        if self.server_name:
            found["sni"] = self.server_name
        if not self.is_http:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return {**found, "tcp": f"{host}:{self.port}"}
        if self.claims:
            found["claims"] = self.claims
        headers = (("Host", self.authority), *self.headers)
        found["header"] = "\n".join(f"{name}: {value}" for name, value in headers)
        return {**found, "method": self.method, "url": str(self).partition(" ")[2]}

    @property
    def claim_values(self) -> dict[str, Any] | None:
        """The claims of the token that the request has, or None without a token."""
        return dict(json.loads(self.claims)) if self.claims else None

    @property
    def is_http(self) -> bool:
        """True for a request, False for a connection without HTTP."""
        return bool(self.method)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if not self.is_http:
            with_tls = f" with TLS for {self.server_name or 'no name'}" if self.tls else ""
            return f"connection to {host}:{self.port}{with_tls}"
        scheme = "https" if self.tls else "http"
        shown = host if _DEFAULT_PORTS[scheme] == self.port else f"{host}:{self.port}"
        return f"{self.method} {scheme}://{shown}{self.path}"


def method_and_url(line: str) -> tuple[str, str]:
    """Return the two words of `GET http://reviews:9080/path`; the method is GET if it is left out."""
    method, _, url = line.strip().rpartition(" ")
    return method.strip() or "GET", url


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        hostname = parts.hostname
    except ValueError as error:
        raise QuestionError(
            f'"{url}" is no URL ({error}); write one such as http://reviews:9080/path'
        ) from None
    if parts.scheme in _DEFAULT_PORTS and not hostname:
        raise QuestionError(f'"{url}" names no host; write http://reviews:9080/path')
    return parts


def _port(parts: SplitResult, text: str) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise QuestionError(f'"{text}" has no valid port; write a number from 1 to 65535')
    return port


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or _METHOD.fullmatch(name.strip()) is None:
        raise QuestionError(f'"{text}" is no header; write NAME: VALUE, such as "end-user: jason"')
    return name.strip(), value.strip()


def _claims(text: str) -> str:
    """Return claims in canonical form."""
    try:
        found = json.loads(text)
        made = json.dumps(found, ensure_ascii=False)
        made.encode()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise QuestionError(f"{text[:80]!r} are no claims; write a JSON object such as {_SOME_CLAIMS}")
    return made


def _name(host: str) -> str:
    """Return the SNI for a host: its name, or empty for an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    return ""
