"""A place in a configuration, where the rules write down what they find."""

from __future__ import annotations

from typing import Any

from mizzen.config.codes import SCHEMA, SCHEMA_WARNING
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config, FieldPath
from mizzen.config.schema_errors import place


class Place:
    """A field of a configuration. `place / "http" / 0` is a place inside of it; all share one `findings`."""

    # Many are made for each document and few are written to, so making one must be cheap.
    __slots__ = ("config", "findings", "path")

    def __init__(
        self, config: Config[Any], path: FieldPath = ("spec",), findings: list[Diagnostic] | None = None
    ) -> None:
        """Stand at `path` of `config`, and write to `findings`."""
        self.config = config
        self.path = path
        self.findings: list[Diagnostic] = [] if findings is None else findings

    def __truediv__(self, step: str | int) -> Place:
        return Place(self.config, (*self.path, step), self.findings)

    def error(self, message: str, code: str = SCHEMA) -> None:
        """Write down an error here: the document may not come into force."""
        self._find(Severity.ERROR, code, message)

    def warning(self, message: str, code: str = SCHEMA_WARNING) -> None:
        """Write down a warning here."""
        self._find(Severity.WARNING, code, message)

    def check(self, problem: str | None) -> bool:
        """Write down `problem` as an error here, if there is one; tell whether there was none."""
        if problem is None:
            return True
        self.error(problem)
        return False

    def _find(self, severity: Severity, code: str, message: str) -> None:
        origin = self.config.origin_of(*self.path)
        self.findings.append(Diagnostic(severity, code, message, origin, place(self.path)))
