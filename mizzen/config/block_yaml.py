"""A fast reader for the YAML that people write most: line by line, in a third of libyaml's time.

    key: value      # a comment
    key:
    - key: "value"
    - value

It reads documents that consist only of such lines. Each line is a key, an item, or both, of a block mapping
or sequence, with a value that ends on the line; so the indentation alone gives the structure. libyaml reads
all other documents, and so all that have an error or a problem.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from mizzen.config.lines import DocumentLines
from mizzen.config.scalars import WORDS, resolve_plain

_MARKER: Final = re.compile(r"--- *+(?:(?<= )#[ -~]*+)?\n")

# All quantifiers are possessive, so each line is passed once, whatever its content.
_LINE: Final = re.compile(
    r"""
    ^(\ *+)                                                    # indentation
    (-\ ++)?+                                                  # the mark of an item
    (?: ([A-Za-z_][A-Za-z0-9_./-]{0,99}+) : (?![!-~])\ *+ )?+  # a key
    (?: # A plain value. No indicator begins it; before a `#` in it is no space, behind a `:` there is none.
        ( [A-Za-z0-9/][!-"$-9;-~]*+ (?: (?: \ ++(?=[!-"$-~]) | :(?=[!-~]) | \# )[!-"$-9;-~]*+ )*+ )
      | ( "[ !#-\[\]-~]*+" | '[ -&(-~]*+' | \[\] | \{\} )      # one in quotes, or an empty one
    )?+
    \ *+ (?: (?<![!-~])\#[ -~]*+ )?+ $                         # a comment
    """,
    re.MULTILINE | re.VERBOSE,
)

_LONG: Final = 100_000
_DEEP: Final = 50
"""Limits of characters, and of nested containers: hardly any hand-written document has as many."""


def block_yaml(text: str, first_line: int) -> tuple[dict[str, Any], DocumentLines] | None:
    """Return the only document of a text that begins at line `first_line` of its file, and the lines of its
    fields; None if libyaml must read it."""
    rows = _rows(text)
    if rows is None:
        return None
    root: dict[str, Any] = {}
    keys: list[str | None] = [None]  # first for the root, then for all fields and items
    lines = [0]
    extents: dict[int, int] = {}
    around: list[tuple[int, Any, int]] = []
    # The innermost container, and the key in it whose value may begin on the next line.
    container: Any = root
    column, node, opener = 0, 0, ""
    for line, (indentation, mark, key, plain, quoted) in enumerate(rows, first_line):
        if not key and not mark:
            if plain or quoted:
                return None
            continue
        here = len(indentation)
        if opener:
            if here > column or (mark and here == column):
                around.append((column, container, node))
                inner: Any = [] if mark else {}
                container[opener] = inner
                column, container, node = here, inner, len(keys) - 1
            opener = ""
        while column > here or (column == here and not mark and type(container) is list):
            if not around:
                return None
            extents[node] = len(keys) - node
            column, container, node = around.pop()
        if column != here or (type(container) is list) is not bool(mark):
            return None
        value: Any = resolve_plain(plain) if plain else _unquoted(quoted)
        if mark:
            keys.append(None)
            lines.append(line)
            if not key:
                if not plain and not quoted:
                    return None
                container.append(value)
                continue
            around.append((column, container, node))
            container.append(inner := {})
            column, container, node = here + len(mark), inner, len(keys) - 1
        name = sys.intern(key)
        if name in container or name in WORDS or len(around) > _DEEP:
            return None
        keys.append(name)
        lines.append(line)
        container[name] = value
        if not plain and not quoted:
            opener = name
    if len(keys) == 1:
        return None
    lines[0] = lines[1]  # the root begins with its first field
    for begun in (*(outer for _, _, outer in around), node):
        extents[begun] = len(keys) - begun
    return root, DocumentLines.of(keys, lines, extents)


def _rows(text: str) -> list[tuple[str, str, str, str, str]] | None:
    """Return indentation, mark, key, plain and quoted value of each line; None if one has another form."""
    if len(text) > _LONG:
        return None
    marker = _MARKER.match(text)
    start = marker.end() if marker is not None else 0
    rows = _LINE.findall(text, start)
    if len(rows) != text.count("\n", start) + 1:
        return None
    if marker is not None:
        rows.insert(0, ("", "", "", "", ""))
    return rows


def _unquoted(text: str) -> Any:
    """Return the value of a quoted text, or of an empty sequence or mapping; None if there is no value."""
    if not text:
        return None
    return [] if text == "[]" else {} if text == "{}" else text[1:-1]
