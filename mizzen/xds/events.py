"""Events between a server and its clients, as immutable values."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

from mizzen.xds.group import RejectedResource
from mizzen.xds.resource import Resource


@dataclass(frozen=True, slots=True)
class Client:
    """One stream of one client; all events of the stream carry the same value.

    Attributes:
        number: the number of the stream; the server counts its streams.
        node_id: `Node.id` as the client gave it.
        group: the group of the client, from `group_of`.
        peer: the client's network address, in gRPC's form.
        method: the gRPC method that the client called.
        delta: the client uses the incremental variant.
    """

    number: int
    node_id: str
    group: Hashable
    peer: str = ""
    method: str = ""
    delta: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """A client sent its node and was put into a group."""

    client: Client


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The client's stream ended."""

    client: Client


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A client changed what it asks for; `names` are all the names that it asks for now."""

    client: Client
    type_url: str
    wildcard: bool
    names: frozenset[str]


# A tuple, because most events are of this kind, and a tuple is made in a third of the time.
class Acked(NamedTuple):
    """A client accepted a response, `waited` seconds after the response was given to the transport.

    `version` is the `Collection.version` of all that the client has of this type now. `recovered` is the
    resource that the client had rejected before and accepted now, at a retry; None if there is none.
    """

    client: Client
    type_url: str
    version: str
    nonce: str
    waited: float
    recovered: RejectedResource | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A client rejected a response.

    Attributes:
        message: the client's own words.
        culprits: the resources that the message blames. The group gets them again only after this client
            has accepted them.
        suspects: the new resources of the response, if the message blames none by name.
        accepted: for each culprit its last accepted version, which is in force again; None if there is none.
        retried: the response was a retry of a resource that the client had rejected before.
    """

    client: Client
    type_url: str
    version: str
    nonce: str
    message: str
    culprits: tuple[Resource, ...]
    suspects: tuple[Resource, ...] = ()
    accepted: tuple[Resource | None, ...] = ()
    retried: bool = False


@dataclass(frozen=True, slots=True)
class Stuck:
    """A client has not answered a response for `waited` seconds; the server goes on without the answer.

    `culprits` are the resources that probably prevent the answer: changed ones that wait for another
    resource; if there are none, all changed ones.
    """

    client: Client
    type_url: str
    version: str
    nonce: str
    waited: float
    culprits: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Recovered:
    """A resource that a client had rejected is gone from its snapshot, and the client has all the rest. The
    server sends nothing, so no `Acked` follows the `Rejected`.
    """

    client: Client
    type_url: str


Event = Connected | Disconnected | Subscribed | Acked | Rejected | Recovered | Stuck
