"""From YAML text to plain values, with a line for every field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mizzen.config.block_yaml import block_yaml
from mizzen.config.lines import DocumentLines


class YamlError(Exception):
    """The text is not YAML that can be read. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about one field that the text alone shows; `fatal` if the document cannot be believed."""

    path: tuple[str | int, ...]
    line: int
    message: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """One YAML document as plain values. `value` may share parts with itself where the text has aliases."""

    value: Any
    lines: DocumentLines
    remarks: tuple[Remark, ...]


def trees(text: str, first_line: int = 1) -> Iterator[Tree]:
    """Yield the documents of `text`, whose first line is line `first_line` of its file.

    Raises YamlError at the first place that is not YAML, nests too deep, or expands too far.
    """
    simple = block_yaml(text, first_line)
    if simple is not None:
        yield Tree(*simple, ())
        return
    # Late: many meshes have simple YAML alone, and to load PyYAML takes as long as to read 400 documents.
    from mizzen.config.composed_yaml import composed

    yield from composed(text, first_line)
