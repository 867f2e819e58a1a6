"""Diagnostics for a terminal: in colour, with the line of YAML and the name of its document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from mizzen.config.document import ConfigKey
from mizzen.config.group_kinds import SECRET
from mizzen.config.yaml_documents import parse_documents
from mizzen.explain.printable import printable

if TYPE_CHECKING:
    from mizzen.config.diagnostics import Diagnostic

_COLOURS = {"error": "bold red", "warning": "bold yellow", "info": "bold blue"}


class _Source:
    """The lines of a file, and its documents by their first line."""

    def __init__(self, file: str, data: bytes) -> None:
        parsed = parse_documents(data, file)
        found = [(each.origin.line, each.key) for each in parsed.documents]
        found += [(each.origin.line, each.key) for each in parsed.refused]
        self._documents: list[tuple[int, ConfigKey]] = sorted(found)
        self._lines = data.decode("utf-8-sig", errors="replace").splitlines()

    def document(self, line: int) -> ConfigKey | None:
        """Return the key of the document that a line belongs to, or None if it is not known."""
        return next((key for first, key in reversed(self._documents) if first <= line), None)

    def line(self, number: int) -> str:
        """Return a line without control characters, which could steer a terminal; empty for no line."""
        if not 1 <= number <= len(self._lines):
            return ""
        return "".join(letter if letter.isprintable() else " " for letter in self._lines[number - 1])


def print_diagnostics(
    diagnostics: Sequence[Diagnostic], given: Mapping[str, bytes], console: Console
) -> None:
    """Print diagnostics. `given` holds contents that are in no file, by the name that the diagnostics use.

    No line is quoted from a Secret, or from a document that is not readable and so might be one.
    """
    sources: dict[str, _Source | None] = {}
    for diagnostic in diagnostics:
        file = diagnostic.origin.file
        if file not in sources:
            sources[file] = _read(file, given)
        source = sources[file]
        console.print(_diagnostic(diagnostic, source), soft_wrap=True, highlight=False)


def _read(file: str, given: Mapping[str, bytes]) -> _Source | None:
    try:
        return _Source(file, given[file] if file in given else Path(file).read_bytes())
    except OSError:
        return None


def _diagnostic(diagnostic: Diagnostic, source: _Source | None) -> Text:
    colour = _COLOURS[diagnostic.severity.value]
    text = Text.assemble(
        (printable(f"{diagnostic.origin}: "), "bold"),
        (f"{diagnostic.severity} {diagnostic.code} ", colour),
        printable(f"{diagnostic.path}: " if diagnostic.path else ""),
        printable(diagnostic.message),
    )
    number = diagnostic.origin.line
    key = source.document(number) if source is not None else None
    if source is None or key is None:
        return text
    text.append(f"\n  in {printable(str(key))}", style="dim")
    line = source.line(number) if key.group_kind != SECRET else ""
    if line:
        start, length = _place(line, diagnostic.path)
        margin = f"  {number} | "
        text.append(f"\n{margin}{line}\n{' ' * (len(margin) + start)}")
        text.append("^" * length, style=colour)
    return text


def _place(line: str, path: str) -> tuple[int, int]:
    """Return start and length of the last field of `path` in a line, else of the line's text."""
    names = re.findall(r"[^.\[\]]+", path)
    name = next((each for each in reversed(names) if not each.isdigit()), "")
    found = re.search(rf"(?<![\w-]){re.escape(name)}(?=[\"']?\s*:)", line) if name else None
    if found is None:
        found = re.search(r"(?<=- )\S.*|[^\s-].*|\S.*", line)
    return (found.start(), len(found[0].rstrip())) if found is not None else (0, 1)
