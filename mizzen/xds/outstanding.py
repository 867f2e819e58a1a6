"""A response that waits for its answer, and what the answer can be ("ACK/NACK and resource type instance
version").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from mizzen.xds.batch import Batch
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection


class Verdict(Enum):
    """What a request says of a response."""

    NOTHING = auto()
    ACK = auto()
    NACK = auto()
    STALE = auto()


@dataclass(slots=True)
class Outstanding:
    """A response that the client has neither accepted nor rejected, and what to go back to if it rejects.

    Attributes:
        target: what the response brings the client to.
        before: what it was brought to before that, accepted or not.
        asked: the names that it asked for when the response was made; None for all.
        sent_at: when it was given to the transport.
        owed: names that were sent though they had not changed; `owed_all`: all were.
        gone: names that a client came back with, and that the response says are no more.
        refused: names in an earlier response that was refused when this one was on its way.
        on_trial: the names of which its answer tells whether they are good, while a bad one is looked for.
    """

    nonce: str
    batch: Batch
    target: Collection
    before: Collection | None
    owed: frozenset[str]
    owed_all: bool
    asked: frozenset[str] | None
    gone: frozenset[str] = frozenset()
    sent_at: float = 0.0
    on_trial: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()

    @property
    def held(self) -> Collection:
        """What the client holds when it accepts this."""
        if not self.refused:
            return self.target
        before: Mapping[str, Resource] = self.before.resources if self.before is not None else {}
        return self.target.without(self.refused, before.get)

    @property
    def spoken_of(self) -> frozenset[str]:
        """The names in the response."""
        return frozenset([r.name for r in self.batch.resources]).union(self.batch.removed)

    @property
    def news(self) -> frozenset[str]:
        """The names of which the response says something new: among them are those that a NACK can mean."""
        if self.before is None or self.owed_all:
            return self.spoken_of
        difference = self.target.since(self.before)
        said = self.spoken_of | difference.removed
        owed = self.owed.union(self.owed_by_alias.values())
        return (difference.removed | difference.changed.keys() | owed) & said

    @property
    def owed_by_alias(self) -> dict[str, str]:
        """The aliases among the owed names, with the names of their resources."""
        found = ((name, self.target.find(name)) for name in self.owed)
        return {alias: each.name for alias, each in found if each is not None and each.name != alias}
