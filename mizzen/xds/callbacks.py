"""The callbacks of a server's owner, and how the server handles those that fail."""

import logging
from collections.abc import Awaitable, Callable, Hashable
from inspect import isawaitable
from typing import Any

from mizzen.xds import wire
from mizzen.xds.peer import Peer
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Snapshot
from mizzen.xds.subscription import Fallback

log = logging.getLogger("mizzen.xds")

GroupOf = Callable[[wire.Node, Peer], Hashable | Awaitable[Hashable]]
"""Returns the group of a client, from its node and its peer (the sender, as the transport knows it). May be a
coroutine, and may raise `NodeRefused` or `PeerRefused`."""

Authenticate = Callable[[Peer], Peer | Awaitable[Peer]]
"""Returns a peer with its identity filled in. May be a coroutine, and may raise `PeerUnauthenticated`."""

OnGroup = Callable[[Hashable, wire.Node], Snapshot | Awaitable[Snapshot | None] | None]
"""Returns the snapshot of a group that has none, from the group and the node of its first client; None if
there is no snapshot yet. May be a coroutine, and may raise `NodeRefused`."""


class NodeRefused(Exception):  # noqa: N818 - says what it does
    """Raised by `group_of` or `on_group`: this node is not served. The client sees INVALID_ARGUMENT and
    the text of the exception.
    """


class PeerRefused(NodeRefused):
    """Raised by `group_of`: this peer may not be the node that it claims to be. The client sees
    PERMISSION_DENIED and the text.
    """


class PeerUnauthenticated(NodeRefused):
    """Raised by `authenticate`: the peer's credentials are missing, wrong or expired. The client sees
    UNAUTHENTICATED and the text.
    """


class CallbackError(Exception):
    """A callback of the owner raised an exception other than `NodeRefused`. The log has the exception. The
    client is not trusted, and sees only the name of the callback.
    """


async def called(name: str, callback: Callable[..., Any], *arguments: Any) -> Any:
    """Call a callback, await it if it is a coroutine, and return its result.

    Raises:
        NodeRefused: the callback raised it.
        CallbackError: the callback raised any other exception.
    """
    try:
        found = callback(*arguments)
        return await found if isawaitable(found) else found
    except NodeRefused:
        raise
    except Exception:
        log.exception("%s failed", name)
        raise CallbackError(f"{name} failed") from None


def guarded(fallback: Fallback) -> Fallback:
    """The same fallback, made safe: if it raises, or returns a resource of another type, that is logged and
    counts as no answer.
    """

    def ask(type_url: str, name: str) -> Resource | None:
        try:
            found = fallback(type_url, name)
        except Exception:
            log.exception("fallback failed for %s %r", type_url, name)
            return None
        if found is None or (isinstance(found, Resource) and found.type_url == type_url):
            return found
        log.error("fallback gave %.100r for %s %r", found, type_url, name)
        return None

    return ask
