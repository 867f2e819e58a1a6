"""A response that waits for its answer, and the possible answers ("ACK/NACK and resource type instance
version").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from mizzen.xds.resource import Resource
from mizzen.xds.response import ResponseContent
from mizzen.xds.snapshot import Collection


class Reply(Enum):
    """What a request says about a response: nothing, an ACK, a NACK, or something about an older response."""

    NOTHING = auto()
    ACK = auto()
    NACK = auto()
    STALE = auto()


@dataclass(slots=True)
class Outstanding:
    """A response that the client has not answered yet, and the state to go back to after a NACK.

    Attributes:
        target: the collection that the client has if it accepts the response.
        before: the collection that the client was sent before, accepted or not.
        asked: the names that the client asked for when the response was made; None for all.
        sent_at: when the response was given to the transport.
        owed: names that were sent although they had not changed.
        owed_all: all resources were sent although they had not changed.
        gone: names that the client claimed when it came back, and that the response removes.
        rejected: names of an earlier response that was rejected while this one was in flight.
        on_trial: the names that this response tests, during the search for a bad resource (`Isolation`).
    """

    nonce: str
    content: ResponseContent
    target: Collection
    before: Collection | None
    owed: frozenset[str]
    owed_all: bool
    asked: frozenset[str] | None
    gone: frozenset[str] = frozenset()
    sent_at: float = 0.0
    on_trial: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()

    @property
    def result(self) -> Collection:
        """What the client has if it accepts this response."""
        if not self.rejected:
            return self.target
        before: Mapping[str, Resource] = self.before.resources if self.before is not None else {}
        return self.target.without(self.rejected, before.get)

    @property
    def all_names(self) -> frozenset[str]:
        """The names in the response."""
        return frozenset([r.name for r in self.content.resources]).union(self.content.removed)

    @property
    def new_names(self) -> frozenset[str]:
        """The names of new, changed and removed resources in the response. A NACK can only mean these."""
        if self.before is None or self.owed_all:
            return self.all_names
        difference = self.target.since(self.before)
        said = self.all_names | difference.removed
        owed = self.owed.union(self.owed_by_alias.values())
        return (difference.removed | difference.changed.keys() | owed) & said

    @property
    def owed_by_alias(self) -> dict[str, str]:
        """The aliases among the owed names, with the names of their resources."""
        found = ((name, self.target.find(name)) for name in self.owed)
        return {alias: each.name for alias, each in found if each is not None and each.name != alias}
