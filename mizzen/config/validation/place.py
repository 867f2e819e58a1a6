"""A place in a configuration, where the rules report diagnostics."""

from __future__ import annotations

from typing import Any

from mizzen.config.codes import SCHEMA, SCHEMA_WARNING
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config, FieldPath
from mizzen.config.schema_errors import place


class Place:
    """A field of a configuration, by its path. `place / "http" / 0` is a place
    inside it; all share one `diagnostics`."""

    # Many are made for each document and few report anything, so making one must be cheap.
    __slots__ = ("config", "diagnostics", "path")

    def __init__(
        self, config: Config[Any], path: FieldPath = ("spec",), diagnostics: list[Diagnostic] | None = None
    ) -> None:
        """Make the place at `path` of `config`; diagnostics are added to `diagnostics`."""
        self.config = config
        self.path = path
        self.diagnostics: list[Diagnostic] = [] if diagnostics is None else diagnostics

    def __truediv__(self, step: str | int) -> Place:
        return Place(self.config, (*self.path, step), self.diagnostics)

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
        origin = self.config.origin_of(*self.path)
        self.diagnostics.append(Diagnostic(severity, code, message, origin, place(self.path)))
