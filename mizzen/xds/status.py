"""What a server knows of its clients, for people."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from mizzen.xds.channel import Channel
from mizzen.xds.group import Quarantined
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection, Snapshot
from mizzen.xds.stream import Stream


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One type of one client. Times are seconds since the epoch, 0 for never.

    Attributes:
        wildcard: it asks for whatever there is.
        names: the names that it asks for besides.
        pending: a response is not answered yet.
        stuck: names that probably keep the answer back, once it is late.
        error: the client's words, if its last answer was a rejection.
        error_names: the resources that these mean.
        synced: it has accepted the newest state and nothing is in flight.
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
class Holding:
    """The resources of one type that one client asks for, by name.

    Attributes:
        wanted: what its group was given.
        sent: what the client was sent, which differs from that while something is refused or on its way.
        accepted: what the client has accepted.
    """

    wanted: Mapping[str, Resource]
    sent: Mapping[str, Resource]
    accepted: Mapping[str, Resource]


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """One stream of one client.

    Attributes:
        phase: where it stands in the order of a change ("rest", "warming", "switching").
        types: by type URL.
        held: resources that its group is not sent because a client refused them.
    """

    number: int
    node_id: str
    group: Hashable
    peer: str
    method: str
    connected_at: float
    phase: str
    types: dict[str, TypeStatus] = field(default_factory=dict)
    held: tuple[Quarantined, ...] = ()

    @property
    def synced(self) -> bool:
        """Whether it has accepted the newest state of everything that it asked for."""
        return self.phase == "rest" and all(each.synced for each in self.types.values())


def describe(stream: Stream, connected_at: float, epoch: float) -> ClientStatus:
    """The status of a stream; `epoch` is what to add to the stream's clock to get seconds since the epoch."""
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
        stream.group.held,
    )


def holdings(stream: Stream) -> dict[str, Holding]:
    """What a client has of each type that it asks for, by type URL."""
    return {
        channel.type_url: _holding(channel, stream.group.snapshot)
        for channel in stream.channels.values()
        if channel.subscription.started
    }


def _holding(channel: Channel, snapshot: Snapshot | None) -> Holding:
    subscription = channel.subscription
    wanted = snapshot.collection(channel.type_url) if snapshot is not None else None

    def asked(collection: Collection | None) -> Mapping[str, Resource]:
        found: Mapping[str, Resource] = collection.resources if collection is not None else {}
        if subscription.wildcard:
            return found
        return {name: each for name, each in found.items() if subscription.asks_for(each)}

    return Holding(asked(wanted), asked(subscription.sent), asked(subscription.accepted))


def _describe(channel: Channel, effective: Snapshot | None, epoch: float) -> TypeStatus:
    subscription = channel.subscription
    refusal = channel.refusal
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
        refusal.message if refusal is not None else None,
        refusal.names if refusal is not None else (),
        synced,
        channel.bytes_sent,
        channel.responses,
    )
