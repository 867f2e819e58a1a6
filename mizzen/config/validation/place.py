"""A place in a configuration, where the rules write down what they find."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config, FieldPath


@dataclass(frozen=True, slots=True)
class Place:
    """A field of a configuration. `place / "http" / 0` is a place inside of it; all share one `findings`."""

    config: Config[Any]
    path: FieldPath = ("spec",)
    findings: list[Diagnostic] = field(default_factory=list)

    def __truediv__(self, step: str | int) -> Place:
        return Place(self.config, (*self.path, step), self.findings)

    def error(self, message: str, code: str = "IST0106") -> None:
        """Write down an error here: the document may not come into force."""
        self._find(Severity.ERROR, code, message)

    def warning(self, message: str, code: str = "IST0133") -> None:
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
        self.findings.append(Diagnostic(severity, code, message, origin, path_text(self.path)))


def path_text(path: FieldPath) -> str:
    """Return a path as users write it: `spec.http[0].route[1].weight`, `metadata.labels[a.io/b]`."""
    text = ""
    for step in path:
        if isinstance(step, int) or "." in step or "/" in step or not step:
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
