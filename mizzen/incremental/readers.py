"""Who read what, as an immutable value: for functions whose reads are recorded outside a database.

A `Query` keeps a node for each key in its database. An owner that must go back to an earlier state, or that
is copied, keeps what its functions have read as an immutable value beside what they returned.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

from mizzen.persistent import LayeredDict

Fact = TypeVar("Fact", bound=Hashable)
Reader = TypeVar("Reader", bound=Hashable)


class Readers(Generic[Fact, Reader]):
    """The facts that each reader has read; never changed."""

    __slots__ = ("_facts_of", "_readers_of")

    def __init__(self) -> None:
        self._facts_of: LayeredDict[Reader, AbstractSet[Fact]] = LayeredDict()
        self._readers_of: LayeredDict[Fact, tuple[Reader, ...]] = LayeredDict()

    def __iter__(self) -> Iterator[Fact]:
        """Yield all facts that have readers."""
        return iter(self._readers_of)

    def of(self, facts: Iterable[Fact]) -> set[Reader]:
        """Return the readers of `facts`."""
        return {reader for fact in facts for reader in self._readers_of.get(fact, ())}

    def read_by(self, reader: Reader) -> AbstractSet[Fact]:
        """Return the facts that a reader has read."""
        return self._facts_of.get(reader, frozenset())

    def differing(self, before: Readers[Fact, Reader]) -> list[Fact]:
        """Return the facts that have other readers than before."""
        return self._readers_of.differing(before._readers_of)

    def reading(self, reads: Mapping[Reader, AbstractSet[Fact]]) -> Readers[Fact, Reader]:
        """Return a copy in which each reader in `reads` has read exactly these facts; a reader without facts
        is dropped."""
        facts_of, readers_of = self._facts_of.edit(), self._readers_of.edit()
        for reader, facts in reads.items():
            before = facts_of.get(reader, frozenset())
            for fact in before - facts:
                left = tuple(each for each in readers_of[fact] if each != reader)
                if left:
                    readers_of.put(fact, left)
                else:
                    readers_of.discard(fact)
            for fact in facts - before:
                readers_of.put(fact, (*readers_of.get(fact, ()), reader))
            if facts:
                facts_of.put(reader, facts)
            else:
                facts_of.discard(reader)
        made: Readers[Fact, Reader] = Readers()
        made._facts_of, made._readers_of = facts_of.finish(), readers_of.finish()
        return made
