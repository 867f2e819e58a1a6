"""An immutable sequence in chunks, which versions share."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, compress, count
from operator import is_not
from typing import Any, Final, TypeVar, overload

Member = TypeVar("Member", covariant=True)
Made = TypeVar("Made")

_CHUNK: Final = 64
"""Members of a new chunk; a chunk that grows to twice as many is halved."""


class _Chunk(tuple[Member, ...]):
    """Some members that versions share, and what `ChunkedSequence.of_chunks` made of them."""

    made: tuple[object, Any] | None = None


class ChunkedSequence(Sequence[Member]):
    """Members in an order; never changed. Members are compared by identity."""

    __slots__ = ("_chunks", "_length")

    def __init__(self, members: Iterable[Member] = ()) -> None:
        found = tuple(members)
        self._length = len(found)
        self._chunks = tuple([_Chunk(found[at : at + _CHUNK]) for at in range(0, len(found), _CHUNK)])

    @classmethod
    def joined(cls, *parts: ChunkedSequence[Member]) -> ChunkedSequence[Member]:
        """Return the members of all parts, one part after the other; if only one part has members, that part
        itself."""
        some = [part for part in parts if part]
        if len(some) == 1:
            return some[0]
        return cls._made(tuple(chain.from_iterable(part._chunks for part in some)))

    @classmethod
    def _made(cls, chunks: tuple[_Chunk[Member], ...]) -> ChunkedSequence[Member]:
        made: ChunkedSequence[Member] = cls()
        made._chunks = chunks
        made._length = sum(map(len, chunks))
        return made

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Member]:
        return chain.from_iterable(self._chunks)

    @overload
    def __getitem__(self, position: int) -> Member: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Member]: ...
    def __getitem__(self, position: int | slice) -> Member | Sequence[Member]:
        if isinstance(position, slice):
            return tuple(self)[position]
        left = position if position >= 0 else position + self._length
        if left >= 0:
            for chunk in self._chunks:
                if left < len(chunk):
                    return chunk[left]
                left -= len(chunk)
        raise IndexError(position)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChunkedSequence):
            return NotImplemented
        return self._length == other._length and self.difference(other) == ([], [])

    __hash__ = None  # type: ignore[assignment]

    def difference(self, other: ChunkedSequence[Any]) -> tuple[list[Member], list[Any]]:
        """Return the members of this sequence, and those of the other, without what both begin with and what
        both end with. A member in both lists has moved, or stands beside one that did. Shared chunks are
        skipped."""
        mine, theirs = self._chunks, other._chunks
        if mine is theirs:
            return [], []
        start, end = common_ends(mine, theirs)
        own = list(chain.from_iterable(mine[start : len(mine) - end]))
        others = list(chain.from_iterable(theirs[start : len(theirs) - end]))
        start, end = common_ends(own, others)
        return own[start : len(own) - end], others[start : len(others) - end]

    def differing(self, other: ChunkedSequence[Any]) -> tuple[set[Member], set[Any]]:
        """Return the members that only this sequence has, and those that only the other has; members are
        hashable."""
        old, new = self.difference(other)
        gone, come = set(old), set(new)
        return gone - come, come - gone

    def of_chunks(self, make: Callable[[Sequence[Member]], Made]) -> list[Made]:
        """Return what `make` gives for each chunk, in their order. Versions share it with the chunk, so it is
        made again only where members changed; a chunk remembers it for one function."""
        found = []
        for chunk in self._chunks:
            if chunk.made is None or chunk.made[0] is not make:
                chunk.made = (make, make(chunk))
            found.append(chunk.made[1])
        return found

    def find(self, wanted: Any, key: Callable[[Any], Any]) -> Member:
        """Return the member whose key is `wanted`, in a sequence that is sorted by `key`. Raise KeyError if
        there is none."""
        if self._chunks:
            chunk = self._chunks[_chunk_of(self._chunks, wanted, key)]
            place = bisect_left(chunk, wanted, key=key)
            if place < len(chunk) and key(chunk[place]) == wanted:
                return chunk[place]
        raise KeyError(wanted)

    def updated(
        self, gone: Sequence[Any], made: Sequence[Any], key: Callable[[Any], Any]
    ) -> ChunkedSequence[Member]:
        """Return the sequence without the members `gone` and with `made`. It must be sorted by `key`, which
        must be unique."""
        if not gone and not made:
            return self
        if 8 * (len(gone) + len(made)) > self._length:
            without = set(map(id, gone))
            members = [member for member in self if id(member) not in without]
            return ChunkedSequence(sorted((*members, *made), key=key))
        chunks = list(self._chunks)
        for member in gone:
            at = _chunk_of(chunks, key(member), key)
            chunk = chunks[at]
            place = bisect_left(chunk, key(member), key=key)
            assert chunk[place] is member
            left = _Chunk((*chunk[:place], *chunk[place + 1 :]))
            chunks[at : at + 1] = [left] if left else []
        for member in made:
            if not chunks:
                chunks = [_Chunk((member,))]
                continue
            at = _chunk_of(chunks, key(member), key)
            chunk = chunks[at]
            place = bisect_left(chunk, key(member), key=key)
            grown = (*chunk[:place], member, *chunk[place:])
            half = len(grown) // 2
            parts = (grown,) if len(grown) < 2 * _CHUNK else (grown[:half], grown[half:])
            chunks[at : at + 1] = map(_Chunk, parts)
        return self._made(tuple(chunks))


def _chunk_of(chunks: Sequence[tuple[Any, ...]], wanted: Any, key: Callable[[Any], Any]) -> int:
    """Return the position of the chunk in which a member with the key `wanted` stands, or belongs."""
    return max(bisect_right(chunks, wanted, key=lambda chunk: key(chunk[0])) - 1, 0)


def common_ends(old: Sequence[object], new: Sequence[object]) -> tuple[int, int]:
    """Return how many items two sequences share at their beginnings and, of the rest, at their ends."""
    shorter = min(len(old), len(new))
    start = next(compress(count(), map(is_not, old, new)), shorter)
    end = next(compress(count(), map(is_not, reversed(old), reversed(new))), shorter)
    return start, min(end, shorter - start)
