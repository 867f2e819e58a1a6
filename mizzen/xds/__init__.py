"""An xDS server library: serves any Envoy resources to any xDS client, and knows nothing of Istio.

    server = xds.Server(group_of=lambda node, peer: node.cluster)
    server.set_snapshot("web", xds.Snapshot.of([xds.Resource.of(cluster), xds.Resource.of(listener)]))
    await server.start("127.0.0.1:18000")

`docs/xds.md` tells how it works; `examples/xds_minimal.py` is a complete control plane.

`Server` is imported at its first use. It alone needs grpc, so code that only makes resources starts faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mizzen.xds import type_urls
from mizzen.xds.callbacks import Authenticate, GroupOf, NodeRefused, OnGroup, PeerRefused, PeerUnauthenticated
from mizzen.xds.events import (
    Acked,
    Client,
    Connected,
    Disconnected,
    Event,
    Recovered,
    Rejected,
    Stuck,
    Subscribed,
)
from mizzen.xds.group import RejectedResource
from mizzen.xds.limits import Limits
from mizzen.xds.ordering import MakeBeforeBreak, Policy, Unordered
from mizzen.xds.peer import Peer, peer_of
from mizzen.xds.resource import Resource, content_version
from mizzen.xds.retries import Retry
from mizzen.xds.snapshot import Change, Collection, Snapshot
from mizzen.xds.status import ClientStatus, Holding, TypeStatus
from mizzen.xds.subscription import Fallback
from mizzen.xds.type_urls import short_name
from mizzen.xds.wire import Node

if TYPE_CHECKING:
    from mizzen.xds.server import Server as Server

__all__ = [
    "Acked",
    "Authenticate",
    "Change",
    "Client",
    "ClientStatus",
    "Collection",
    "Connected",
    "Disconnected",
    "Event",
    "Fallback",
    "GroupOf",
    "Holding",
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


def __getattr__(name: str) -> Any:
    if name != "Server":
        raise AttributeError(f"module 'mizzen.xds' has no attribute {name!r}")
    from mizzen.xds.server import Server

    globals()[name] = Server
    return Server
