"""Opens listening sockets, with errors that say what uses the port."""

from __future__ import annotations

import errno
import json
import socket
from http.client import HTTPConnection, HTTPException
from typing import Any

from mizzen.server.address import Address


class ListenError(Exception):
    """The server cannot listen on an address; the message says why, and what to do."""


def listen(address: Address, option: str) -> socket.socket:
    """Return a socket that listens on `address`. Raises ListenError, whose message names `option`."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ListenError(f"{option} {address}: no such host is known ({error.strerror})") from error
    family, kind, protocol, _, place = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        # Allows a port whose connections have just ended, but not a port on which a process listens.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(128)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise ListenError(f"{option} {address}: {explain(error)}") from error
    return listening


def explain(error: OSError) -> str:
    """Return in words why the server could not listen on an address."""
    if error.errno == errno.EADDRINUSE:
        return "something else listens on this port already"
    if error.errno == errno.EACCES:
        return "ports below 1024 are for root; choose a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return error.strerror or str(error)


def other_server(admin: Address) -> dict[str, Any] | None:
    """Return the version data of a Mizzen that answers at the admin address; None if none answers."""
    connection = HTTPConnection(admin.host, admin.port, timeout=1)
    try:
        connection.request("GET", "/version")
        about = json.loads(connection.getresponse().read(65536))
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return about if isinstance(about, dict) and about.get("name") == "mizzen" else None
