"""YAML text as plain values, with a line for every field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mizzen.config.block_yaml import block_yaml
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


def trees(text: str, first_line: int = 1) -> Iterator[Tree]:
    """Yield the documents of `text`, whose first line is line `first_line` of its file.

    Raises YamlError at the first error: the text is not YAML, nests too deep, or expands too far.
    """
    simple = block_yaml(text, first_line)
    if simple is not None:
        yield Tree(*simple, ())
        return
    # Imported here: many meshes have only simple YAML, and loading PyYAML takes as long as reading 400
    # documents.
    from mizzen.config.composed_yaml import composed

    yield from composed(text, first_line)
