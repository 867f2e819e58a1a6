"""Diagnostics: what is wrong with a document, and where. All packages report users' mistakes in this form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mizzen.config.document import ConfigKey, FieldPath


class Severity(StrEnum):
    """How much a diagnostic matters: an error keeps its document out of force, a warning does not."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Origin:
    """A line of a user's file. `line` counts from 1; 0 means the file as a whole.

    The origin of a document's field also names the document and the path in it: by these,
    `Mesh.current_origin` finds the field after lines have moved. So `line` may be out of date, and origins of
    two documents or fields differ even if they are on the same line: later they may be on two.
    """

    file: str
    line: int = 0
    document: ConfigKey | None = field(default=None, repr=False)
    path: FieldPath = field(default=(), repr=False)

    def __lt__(self, other: Origin) -> bool:
        if (self.file, self.line) != (other.file, other.line):
            return (self.file, self.line) < (other.file, other.line)
        if self.document != other.document:
            return self.document is None or (other.document is not None and self.document < other.document)
        return [*map(str, self.path)] < [*map(str, other.path)]

    def __hash__(self) -> int:
        return hash((self.file, self.line))

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One diagnostic about one line.

    `code` is one of Istio's analysis codes (IST0101, IST0106...) or one of ours (MZ0001...); `path` is the
    field's path as the user wrote it (`spec.http[0].route[1].weight`), empty for a document or file as a
    whole; `message` says what is wrong and, after a semicolon, what would be right. `mentions` are the
    origins whose `file:line` stands in the message. `missing` is the document or host that is named but not
    in force, if the diagnostic says that. `traceback` is for the log, if a fault of Mizzen is the cause.
    """

    severity: Severity
    code: str
    message: str
    origin: Origin
    path: str = ""
    mentions: tuple[Origin, ...] = field(default=(), compare=False, repr=False)
    missing: ConfigKey | str | None = field(default=None, compare=False, repr=False)
    traceback: str = field(default="", compare=False, repr=False)

    def current(self, current_origin: Callable[[Origin], Origin]) -> Diagnostic:
        """Return the diagnostic with current lines; `current_origin` returns where an origin stands now."""
        origin = current_origin(self.origin)
        mentions = tuple(map(current_origin, self.mentions))
        moved = {str(was): str(now) for was, now in zip(self.mentions, mentions, strict=True) if was != now}
        if origin == self.origin and not moved:
            return self
        message = self.message
        if moved:
            places = "|".join(map(re.escape, moved))
            message = re.sub(rf"({places})(?!\d)", lambda found: moved[found[0]], message)
        return replace(self, origin=origin, message=message, mentions=mentions)

    def __str__(self) -> str:
        where = f"{self.origin}: {self.path}: " if self.path else f"{self.origin}: "
        return where + self.message


def reading_order(diagnostic: Diagnostic) -> tuple[Origin, str, Severity, str, str]:
    """Return the sort key that orders diagnostics by file, line and path, as a user goes through the files to
    correct them. Different diagnostics have different keys."""
    return (diagnostic.origin, diagnostic.path, diagnostic.severity, diagnostic.code, diagnostic.message)


def in_reading_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return `diagnostics` in their `reading_order`."""
    return sorted(diagnostics, key=reading_order)


MAX_DIAGNOSTICS: Final = 200
"""How many diagnostics of one document or file are listed one by one: more are not read, and a file of 10 MB
can hold a million mistakes."""


def bounded(diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the first MAX_DIAGNOSTICS diagnostics, and one more diagnostic that counts the rest.

    It is an error if the rest contains an error.
    """
    if len(diagnostics) <= MAX_DIAGNOSTICS:
        return tuple(diagnostics)
    rest = diagnostics[MAX_DIAGNOSTICS:]
    worst = next((each for each in rest if each.severity is Severity.ERROR), rest[0])
    message = f"{len(rest)} more diagnostics like this are not shown; correct those before it first"
    return (*diagnostics[:MAX_DIAGNOSTICS], Diagnostic(worst.severity, worst.code, message, worst.origin))
