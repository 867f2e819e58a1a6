"""A place in a configuration, where the rules report diagnostics."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mizzen.config.codes import SCHEMA, SCHEMA_WARNING
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config, FieldPath
from mizzen.config.schema_errors import place


class Place:
    """A field of a configuration, by its path. `place / "http" / 0` is a place
    inside it; all share one `diagnostics`.

    `removed` are the paths of malformed fields that were taken out of the document. Nothing is reported
    inside such a field, nor about a value that contains one. A rule that reports something elsewhere, because
    a field is empty, asks whether the field is `lost`.
    """

    # Many are made for each document and few report anything, so making one must be cheap.
    __slots__ = ("config", "diagnostics", "path", "removed")

    def __init__(
        self,
        config: Config[Any],
        path: FieldPath = ("spec",),
        diagnostics: list[Diagnostic] | None = None,
        removed: Collection[FieldPath] = (),
    ) -> None:
        """Make the place at `path` of `config`; diagnostics are added to `diagnostics`."""
        self.config = config
        self.path = path
        self.diagnostics: list[Diagnostic] = [] if diagnostics is None else diagnostics
        self.removed = removed

    def __truediv__(self, step: str | int) -> Place:
        return Place(self.config, (*self.path, step), self.diagnostics, self.removed)

    @property
    def spec(self) -> Place:
        """The place of the whole spec."""
        return Place(self.config, ("spec",), self.diagnostics, self.removed)

    def lost(self, *fields: str) -> bool:
        """Return True if one of these fields of the value here is malformed, or something in it: what its
        author meant is not known, and its typed value lacks it."""
        return any(_overlap((*self.path, field), path) for path in self.removed for field in fields)

    def error(self, message: str, code: str = SCHEMA) -> None:
        """Report an error here: the document cannot come into force."""
        self._find(Severity.ERROR, code, message)

    def warning(self, message: str, code: str = SCHEMA_WARNING) -> None:
        """Report a warning here."""
        self._find(Severity.WARNING, code, message)

    def check(self, problem: str | None) -> bool:
        """Report `problem` as an error here, unless it is None; tell whether it is None."""
        if problem is None:
            return True
        self.error(problem)
        return False

    def _find(self, severity: Severity, code: str, message: str) -> None:
        if any(_overlap(self.path, path) for path in self.removed):
            return
        origin = self.config.origin_of(*self.path)
        self.diagnostics.append(Diagnostic(severity, code, message, origin, place(self.path)))


def _overlap(one: FieldPath, other: FieldPath) -> bool:
    """Return True if one of the fields is in the other, or is the other."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]
