"""An xDS server library: serves any Envoy resources to any xDS client, and knows nothing of Istio.

    server = xds.Server(group_of=lambda node, peer: node.cluster)
    server.set_snapshot("web", xds.Snapshot.of([xds.Resource.of(cluster), xds.Resource.of(listener)]))
    await server.start("127.0.0.1:18000")

`docs/xds.md` tells how it works; `examples/xds_minimal.py` is a complete control plane.

Each name below is imported at its first use. `Server` alone needs grpc, and code that only makes resources
needs none of the protocol.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mizzen.xds import type_urls as type_urls
    from mizzen.xds.callbacks import Authenticate as Authenticate
    from mizzen.xds.callbacks import GroupOf as GroupOf
    from mizzen.xds.callbacks import NodeRefused as NodeRefused
    from mizzen.xds.callbacks import OnGroup as OnGroup
    from mizzen.xds.callbacks import PeerRefused as PeerRefused
    from mizzen.xds.callbacks import PeerUnauthenticated as PeerUnauthenticated
    from mizzen.xds.events import Acked as Acked
    from mizzen.xds.events import Client as Client
    from mizzen.xds.events import Connected as Connected
    from mizzen.xds.events import Disconnected as Disconnected
    from mizzen.xds.events import Event as Event
    from mizzen.xds.events import Recovered as Recovered
    from mizzen.xds.events import Rejected as Rejected
    from mizzen.xds.events import Stuck as Stuck
    from mizzen.xds.events import Subscribed as Subscribed
    from mizzen.xds.group import RejectedResource as RejectedResource
    from mizzen.xds.limits import Limits as Limits
    from mizzen.xds.ordering import MakeBeforeBreak as MakeBeforeBreak
    from mizzen.xds.ordering import Policy as Policy
    from mizzen.xds.ordering import Unordered as Unordered
    from mizzen.xds.peer import Peer as Peer
    from mizzen.xds.peer import peer_of as peer_of
    from mizzen.xds.resource import Resource as Resource
    from mizzen.xds.resource import content_version as content_version
    from mizzen.xds.retries import Retry as Retry
    from mizzen.xds.server import Server as Server
    from mizzen.xds.snapshot import Change as Change
    from mizzen.xds.snapshot import Collection as Collection
    from mizzen.xds.snapshot import Snapshot as Snapshot
    from mizzen.xds.status import ClientResources as ClientResources
    from mizzen.xds.status import ClientStatus as ClientStatus
    from mizzen.xds.status import TypeStatus as TypeStatus
    from mizzen.xds.subscription import Fallback as Fallback
    from mizzen.xds.type_urls import short_name as short_name
    from mizzen.xds.wire import Node as Node

__all__ = [
    "Acked",
    "Authenticate",
    "Change",
    "Client",
    "ClientResources",
    "ClientStatus",
    "Collection",
    "Connected",
    "Disconnected",
    "Event",
    "Fallback",
    "GroupOf",
    "Limits",
    "MakeBeforeBreak",
    "Node",
    "NodeRefused",
    "OnGroup",
    "Peer",
    "PeerRefused",
    "PeerUnauthenticated",
    "Policy",
    "Recovered",
    "Rejected",
    "RejectedResource",
    "Resource",
    "Retry",
    "Server",
    "Snapshot",
    "Stuck",
    "Subscribed",
    "TypeStatus",
    "Unordered",
    "content_version",
    "peer_of",
    "short_name",
    "type_urls",
]


_HOME = {
    "Acked": "events",
    "Authenticate": "callbacks",
    "Change": "snapshot",
    "Client": "events",
    "ClientStatus": "status",
    "Collection": "snapshot",
    "Connected": "events",
    "Disconnected": "events",
    "Event": "events",
    "Fallback": "subscription",
    "GroupOf": "callbacks",
    "ClientResources": "status",
    "Limits": "limits",
    "MakeBeforeBreak": "ordering",
    "Node": "wire",
    "NodeRefused": "callbacks",
    "OnGroup": "callbacks",
    "Peer": "peer",
    "PeerRefused": "callbacks",
    "PeerUnauthenticated": "callbacks",
    "Policy": "ordering",
    "Recovered": "events",
    "Rejected": "events",
    "RejectedResource": "group",
    "Resource": "resource",
    "Retry": "retries",
    "Server": "server",
    "Snapshot": "snapshot",
    "Stuck": "events",
    "Subscribed": "events",
    "TypeStatus": "status",
    "Unordered": "ordering",
    "content_version": "resource",
    "peer_of": "peer",
    "short_name": "type_urls",
}


def __getattr__(name: str) -> Any:
    if name == "type_urls":
        return import_module("mizzen.xds.type_urls")
    if name in _HOME:
        value = getattr(import_module(f"mizzen.xds.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'mizzen.xds' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
