"""Under which names the admin address answers.

A page in a browser may let the name of its own server lead to this machine (DNS rebinding), and then read
what the admin address says. The browser tells that name in the header Host, so only known names are answered.
An IP address is no name, and leads nowhere else.
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
    """The hosts under which an admin address is asked: those of loopback, its own, and `more`.

    An address that is not loopback is asked under IP addresses too: behind every interface there are several.
    """

    def __init__(self, admin: Address, more: Iterable[str] = ()) -> None:
        self._any_address = not admin.is_loopback
        self._names = {"localhost", admin.host.lower(), *(name.lower() for name in more)}

    def has(self, header: str) -> bool:
        """Tell whether a header Host, with or without a port, is one of them. Browsers give one always."""
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
    """ASGI middleware: answers 421 to whoever asks under a host that is not one of `hosts`."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or self._hosts.has(host := Headers(scope=scope).get("host", "")):
            await self._app(scope, receive, send)
            return
        said = (
            f"{host!r:.300} is no name of this admin address; ask by its IP address or as localhost, or "
            "start the server with --admin-host NAME\n"
        )
        answer = PlainTextResponse(said, status_code=421)
        await answer(scope, receive, send)
