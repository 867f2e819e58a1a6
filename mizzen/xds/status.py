"""The status of a server's clients, for people to read."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from mizzen.xds.channel import Channel
from mizzen.xds.group import RejectedResource
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection, Snapshot
from mizzen.xds.stream import Stream


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One type of one client. Times are seconds since the epoch, 0 for never.

    Attributes:
        wildcard: the client asks for all resources of the type.
        names: the names that the client asks for.
        pending: a response is not answered yet.
        stuck: names of resources that probably prevent the answer, once it is late.
        error: the client's words, if its last answer was a rejection.
        error_names: the resources that these words blame.
        synced: the client has accepted the newest state, and no response is in flight.
    """

    type_url: str
    wildcard: bool
    names: frozenset[str]
    sent_version: str
    sent_nonce: str
    sent_at: float
    accepted_version: str
    accepted_at: float
    pending: bool
    stuck: tuple[str, ...]
    error: str | None
    error_names: tuple[str, ...]
    synced: bool
    bytes_sent: int
    responses: int


@dataclass(frozen=True, slots=True)
class ClientResources:
    """The resources of one type that one client asks for, by name.

    Attributes:
        wanted: the resources in the snapshot of the client's group.
        sent: the resources that the client was sent. They differ from `wanted` while a resource is rejected
            or is still to be sent.
        accepted: the resources that the client has accepted.
    """

    wanted: Mapping[str, Resource]
    sent: Mapping[str, Resource]
    accepted: Mapping[str, Resource]


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """One stream of one client.

    Attributes:
        phase: its phase in the order of a change ("rest", "warming", "switching").
        types: the status of each type, by type URL.
        rejected: resources that the server withholds from the group because a client rejected them.
    """

    number: int
    node_id: str
    group: Hashable
    peer: str
    method: str
    connected_at: float
    phase: str
    types: dict[str, TypeStatus] = field(default_factory=dict)
    rejected: tuple[RejectedResource, ...] = ()

    @property
    def synced(self) -> bool:
        """True if the client has accepted the newest state of everything that it asks for."""
        return self.phase == "rest" and all(each.synced for each in self.types.values())


def describe(stream: Stream, connected_at: float, epoch: float) -> ClientStatus:
    """The status of a stream; the stream's clock plus `epoch` gives seconds since the epoch."""
    client = stream.client
    return ClientStatus(
        client.number,
        client.node_id,
        client.group,
        client.peer,
        client.method,
        connected_at,
        stream.phase.value,
        {
            channel.type_url: _describe(channel, stream.group.effective, epoch)
            for channel in stream.channels.values()
            if channel.subscription.started
        },
        stream.group.rejected,
    )


def client_resources(stream: Stream) -> dict[str, ClientResources]:
    """What a client has of each type that it asks for, by type URL."""
    return {
        channel.type_url: _of_channel(channel, stream.group.snapshot)
        for channel in stream.channels.values()
        if channel.subscription.started
    }


def _of_channel(channel: Channel, snapshot: Snapshot | None) -> ClientResources:
    subscription = channel.subscription
    wanted = snapshot.collection(channel.type_url) if snapshot is not None else None

    def asked(collection: Collection | None) -> Mapping[str, Resource]:
        found: Mapping[str, Resource] = collection.resources if collection is not None else {}
        if subscription.wildcard:
            return found
        return {name: each for name, each in found.items() if subscription.asks_for(each)}

    return ClientResources(asked(wanted), asked(subscription.sent), asked(subscription.accepted))


def _describe(channel: Channel, effective: Snapshot | None, epoch: float) -> TypeStatus:
    subscription = channel.subscription
    nack = channel.nack
    newest = effective.collection(channel.type_url) if effective is not None else None
    accepted = subscription.accepted
    synced = newest is not None and accepted is not None and subscription.outstanding is None
    if synced and newest is not None and accepted is not None:
        synced = accepted.version == newest.version
    return TypeStatus(
        channel.type_url,
        subscription.wildcard,
        subscription.names,
        channel.sent_version,
        subscription.nonce,
        channel.sent_at + epoch if channel.sent_at else 0.0,
        channel.accepted_version,
        channel.accepted_at + epoch if channel.accepted_at else 0.0,
        subscription.outstanding is not None,
        tuple(resource.name for resource in channel.culprits),
        nack.message if nack is not None else None,
        nack.names if nack is not None else (),
        synced,
        channel.bytes_sent,
        channel.responses,
    )
