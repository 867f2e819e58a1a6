"""The documents of the previous version of a file, so that unchanged parts are not parsed again.

A file is read in pieces, one for each document marker. A piece with the same text as before has the same
documents, perhaps some lines further up or down. For each document the keys, the lines of the fields and a
digest of the content are kept: enough for a store that already has the document. The content is read again
only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mizzen.config.diagnostics import Origin
from mizzen.config.document import ConfigKey, Document
from mizzen.config.lines import DocumentLines


@dataclass(frozen=True, slots=True)
class _Known:
    """A document without its content. `offset` is its first line minus that of its piece."""

    key: ConfigKey
    api_version: str
    offset: int
    lines: DocumentLines
    digest: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """The documents of a piece of a file without diagnostics, and the piece's first line."""

    first_line: int
    documents: tuple[_Known, ...]

    @classmethod
    def of(cls, documents: Sequence[Document], first_line: int) -> Piece:
        """Return the documents of a piece without their content."""
        known = []
        for each in documents:
            assert isinstance(each.lines, DocumentLines)
            offset = each.origin.line - first_line
            known.append(_Known(each.key, each.api_version, offset, each.lines, each.digest))
        return cls(first_line, tuple(known))


Pieces = Mapping[bytes, Piece]
"""Pieces of a file by digest of their text."""


def recalled(
    piece: Piece, file: str, first_line: int, read: Callable[[], Sequence[Document]]
) -> Iterator[Document]:
    """Yield the documents of a piece that now begins at `first_line`. `read` reads it again."""
    text = _Text(read)
    for position, known in enumerate(piece.documents):
        key = known.key
        yield Document(
            known.api_version,
            key.group_kind.kind,
            key.namespace,
            key.name,
            _LaterContent(text, position),
            Origin(file, first_line + known.offset, key),
            known.lines.shifted(first_line - piece.first_line),
            known.digest,
        )


class _Text:
    """The documents of a piece, read when their content is first asked for."""

    __slots__ = ("_documents", "_read")

    def __init__(self, read: Callable[[], Sequence[Document]]) -> None:
        self._read = read
        self._documents: Sequence[Document] = ()

    def content(self, position: int) -> Mapping[str, Any]:
        """Return the content of the document at that position of the piece."""
        if not self._documents:
            self._documents = self._read()
        return self._documents[position].content


class _LaterContent(Mapping[str, Any]):
    """The content of a document, read when it is first asked for."""

    __slots__ = ("_position", "_text")

    def __init__(self, text: _Text, position: int) -> None:
        self._text = text
        self._position = position

    def __getitem__(self, key: str) -> Any:
        return self._text.content(self._position)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._text.content(self._position))

    def __len__(self) -> int:
        return len(self._text.content(self._position))
