"""The line of every field of a document, stored in a few flat arrays."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Final


class DocumentLines:
    """Lines of one document: its nodes in the order of the text, each with its key, line and extent.

    Node i spans `extents[i]` nodes, itself included. So its children are found by going from one to the next:
    a look-up costs the number of fields that it passes, and a node costs 16 bytes. A document that is an item
    of a `List` shares the arrays of the whole and starts at a different `root`.
    """

    __slots__ = ("_children", "_extents", "_keys", "_lines", "_offset", "_root")

    def __init__(
        self,
        keys: Sequence[str | None],
        lines: array[int],
        extents: array[int],
        root: int = 0,
        offset: int = 0,
    ) -> None:
        self._keys = keys
        self._lines = lines
        self._extents = extents
        self._root = root
        self._offset = offset
        self._children: dict[int, dict[str | int, int]] = {}

    @classmethod
    def of(
        cls, keys: Sequence[str | None], lines: Iterable[int], extents: Mapping[int, int]
    ) -> DocumentLines:
        """Return the lines of a document; `extents` are those of its nodes that contain nodes."""
        spans = array("I", (1,)) * len(keys)
        for node, extent in extents.items():
            spans[node] = extent
        return cls(tuple(keys), array("I", lines), spans)

    @classmethod
    def single(cls, line: int) -> DocumentLines:
        """Return the lines of a document that has no fields."""
        return cls((None,), array("I", (line,)), array("I", (1,)))

    def line_of(self, path: Sequence[str | int]) -> int:
        """Return the line (from 1) of the field at `path`, or of its nearest ancestor that has one."""
        return self._lines[self._find(path)] + self._offset

    def subtree(self, path: Sequence[str | int]) -> DocumentLines:
        """Return the lines of the value at `path` (or of its nearest ancestor) as a document of its own."""
        part = DocumentLines(self._keys, self._lines, self._extents, self._find(path), self._offset)
        part._children = self._children
        return part

    def renamed(self, names: Mapping[tuple[str | int, ...], str]) -> DocumentLines:
        """Return the same lines with different names for the fields at these paths."""
        keys = list(self._keys)
        for path, name in names.items():
            # A part of the text that several aliases refer to has one node.
            node = self._child(self._find(path[:-1]), path[-1])
            if node is not None:
                keys[node] = name
        return DocumentLines(tuple(keys), self._lines, self._extents, self._root, self._offset)

    def shifted(self, by: int) -> DocumentLines:
        """Return the lines of the same text when it begins `by` lines further down."""
        if not by:
            return self
        moved = DocumentLines(self._keys, self._lines, self._extents, self._root, self._offset + by)
        moved._children = self._children
        return moved

    def same_as(self, other: DocumentLines) -> bool:
        """Tell whether both give the same lines for the same fields."""
        if self._lines is other._lines and self._keys is other._keys and self._root == other._root:
            return self._offset == other._offset
        here, there = self._span(), other._span()
        apart = self._offset - other._offset
        return (
            self._extents[here] == other._extents[there]
            and (
                self._lines[here] == other._lines[there]
                if not apart
                else [line + apart for line in self._lines[here]] == other._lines[there].tolist()
            )
            and self._keys[here] == other._keys[there]
        )

    def as_lists(self) -> tuple[list[str | None], list[int], list[int]]:
        """Return keys, lines and extents of all nodes, as `from_lists` takes them."""
        span = self._span()
        lines = [line + self._offset for line in self._lines[span]]
        return list(self._keys[span]), lines, list(self._extents[span])

    @classmethod
    def from_lists(cls, keys: Sequence[str | None], lines: list[int], extents: list[int]) -> DocumentLines:
        """Return the lines whose `as_lists` are these."""
        return cls(tuple(keys), array("I", lines), array("I", extents))

    def _span(self) -> slice:
        return slice(self._root, self._root + self._extents[self._root])

    def _find(self, path: Sequence[str | int]) -> int:
        node = self._root
        for step in path:
            found = self._child(node, step)
            if found is None:
                break
            node = found
        return node

    def _child(self, node: int, step: str | int) -> int | None:
        known = self._children.get(node)
        if known is not None:
            return known.get(step)
        end = node + self._extents[node]
        child = node + 1
        position = 0
        while child < end:
            key = self._keys[child]
            if key == step if isinstance(step, str) else key is None and position == step:
                return child
            child += self._extents[child]
            position += 1
            if position > _FEW:
                return self._index(node).get(step)
        return None

    def _index(self, node: int) -> dict[str | int, int]:
        """Return the positions of the children of a big node, remembered: to search for each would cost the
        square of their number."""
        found: dict[str | int, int] = {}
        child, end = node + 1, node + self._extents[node]
        for position in range(self._extents[node]):
            if child >= end:
                break
            key = self._keys[child]
            found.setdefault(position if key is None else key, child)
            child += self._extents[child]
        self._children[node] = found
        return found


_FEW: Final = 50
"""Up to this number of children a search passes them one by one; with more, an index is worth its memory."""
