"""What a YAML document is read as: plain values, with a line for every field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mizzen.config.lines import DocumentLines


class YamlError(Exception):
    """The text is not YAML, or cannot be read. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong about one field that only the text shows; `fatal` if the document cannot be trusted."""

    path: tuple[str | int, ...]
    line: int
    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """One YAML document as plain values. Where the text has aliases, parts of `value` are shared."""

    value: Any
    lines: DocumentLines
    problems: tuple[Problem, ...]
