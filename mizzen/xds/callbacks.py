"""What the owner of a server is asked, and what becomes of it if the answer is no answer."""

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
"""The node of a client, and who sent it as the transport knows it, to the group that the client belongs to.
May be a coroutine, and may raise `NodeRefused` or `PeerRefused`."""

Authenticate = Callable[[Peer], Peer | Awaitable[Peer]]
"""A peer as the transport knows it, to the same with its identity. May be a coroutine, and may raise
`PeerUnauthenticated`."""

OnGroup = Callable[[Hashable, wire.Node], Snapshot | Awaitable[Snapshot | None] | None]
"""A group without a snapshot, and the node of its first client, to its snapshot; None if there is none yet.
May be a coroutine, and may raise `NodeRefused`."""


class NodeRefused(Exception):  # noqa: N818 - says what it does
    """Raised by `group_of` or `on_group`: this node is not served. The client sees INVALID_ARGUMENT and
    the text.
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
    """A callback of the owner raised something else than `NodeRefused`. The log has it; the client, which may
    be anybody, is told no more than this.
    """


async def called(name: str, callback: Callable[..., Any], *arguments: Any) -> Any:
    """What the callback returns, waited for if it is a coroutine.

    Raises:
        NodeRefused: it said so.
        CallbackError: it raised anything else.
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
    """The same, but what it raises, and what is no answer to the question, is logged and is no answer."""

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
