"""The host names for which the admin address answers.

A web page may change the address of its own host name to this machine (DNS rebinding), and could then read
the answers of the admin address. The browser sends that name in the header Host, so the server answers known
names alone. An IP address in that header is safe: DNS cannot change it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mizzen.server.address import Address

_FORM: Final = re.compile(r"(?:\[(?P<address>[^][]+)]|(?P<name>[^][:]+))(?::[0-9]*)?", re.ASCII)
"""A host and perhaps a port (RFC 9110, 7.2); an IPv6 address is in brackets."""


class Hosts:
    """The hosts of an admin address: those of loopback, its own, and `more`.

    If the address is not loopback, every IP address counts too: the machine may have several.
    """

    def __init__(self, admin: Address, more: Iterable[str] = ()) -> None:
        self._any_address = not admin.is_loopback
        self._names = {"localhost", admin.host.lower(), *(name.lower() for name in more)}

    def has(self, header: str) -> bool:
        """True if a header Host, with or without a port, is one of these hosts, or is empty. Browsers always
        send one.
        """
        text = header.strip().lower()
        if not text:
            return True
        form = _FORM.fullmatch(text)
        if form is None:
            return False
        host = form["address"] or form["name"].removesuffix(".")
        if host in self._names:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or self._any_address


class KnownHosts:
    """ASGI middleware: answers 421 to a request whose header Host is not one of `hosts`."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or self._hosts.has(host := Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send)
            return
        said = (
            f"{host!r:.300} is not a name of this admin address; ask by its IP address or as localhost, or "
            "start the server with --admin-host NAME\n"
        )
        answer = PlainTextResponse(said, status_code=421)
        await answer(scope, receive, send)
