"""What happens between a server and its clients, told as values."""

from collections.abc import Hashable
from dataclasses import dataclass

from mizzen.xds.group import Quarantined
from mizzen.xds.resource import Resource


@dataclass(frozen=True, slots=True)
class Client:
    """One stream of one client; the same value in all its events.

    Attributes:
        number: counts the streams of this server.
        node_id: `Node.id` as the client gave it.
        group: the group that the server put it into.
        peer: its network address, in gRPC's form.
        method: the gRPC method that it called.
        delta: it speaks the incremental variant.
    """

    number: int
    node_id: str
    group: Hashable
    peer: str = ""
    method: str = ""
    delta: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """A client named its node and was given a group."""

    client: Client


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Its stream ended."""

    client: Client


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A client asks for something else than before; `names` are all the names that it asks for now."""

    client: Client
    type_url: str
    wildcard: bool
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Acked:
    """A client accepted a response `waited` seconds after it was given to the transport.

    `version` is that of all that it has of the type now, the `Collection.version` of what it was given.
    `recovered` is what it had refused before, and has accepted now that it was asked again.
    """

    client: Client
    type_url: str
    version: str
    nonce: str
    waited: float
    recovered: Quarantined | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A client refused a response.

    Attributes:
        message: the client's own words.
        culprits: the resources that they mean; the group is not sent them again until this client takes them.
        suspects: if no culprit could be told, the resources that were new in the response.
        accepted: for each culprit its last accepted version, which is in force again; None if there is none.
        retried: it had refused the same before, and was asked again.
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

    `culprits` are the resources that probably keep it: changed ones of which something is missing, or else
    all that changed.
    """

    client: Client
    type_url: str
    version: str
    nonce: str
    waited: float
    culprits: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Mended:
    """What a client had refused is wanted no longer, and it holds what is. Nothing is sent, so no `Acked`
    follows the `Rejected`.
    """

    client: Client
    type_url: str


Event = Connected | Disconnected | Subscribed | Acked | Rejected | Mended | Stuck
