"""Placeholders of templates that are not filled in, such as `{{ .Values.host }}` and `{{- if ... }}`.

Helm renders such a text into YAML; before that it is often not YAML. Placeholders are only reported here,
never evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from mizzen.config.document import FieldPath

OPENING: Final = "{{"
_CLOSING: Final = "}}"
_COMMENT: Final = re.compile(r"\{\{-?\s*/\*")
_NAME: Final = re.compile(r"\{\{-?\s*([.$][\w.$]{0,80})\s*-?\}\}")
"""An action that is only a name. Other actions are not quoted: they may hold a password as a default."""

BLANK: Final = "\ue000"
"""Takes the place of a placeholder in a masked text."""

_FREE_TEXT: Final = frozenset({"annotations", "body"})
"""Fields with free text, which may hold placeholders meant for its readers."""


def unfilled_message(action: str = "") -> str:
    """Return the message about a placeholder; `action` is its text in the file, if known."""
    name = _NAME.search(action)
    shown = "{{ " + name[1] + " }}" if name else "{{ }}"
    return f"a placeholder `{shown}` of a template is not filled in; render the template first"


def unfilled_lines(text: str, first_line: int) -> list[tuple[int, str]]:
    """Return the lines that have placeholders outside of comments, each with its first placeholder.

    `first_line` is the line of the file where `text` begins.
    """
    found: list[tuple[int, str]] = []
    seen: set[int] = set()
    line, counted = first_line, 0
    for start, end in _actions(text):
        line += text.count("\n", counted, start)
        counted = start
        if line in seen:
            continue
        seen.add(line)
        row = text[text.rfind("\n", 0, start) + 1 : start]
        if not row.lstrip().startswith("#") and " #" not in row:
            found.append((line, text[start:end]))
    return found


def masked(text: str) -> str:
    """Return `text` with BLANK for each placeholder; a placeholder alone on its line is removed.

    The lines keep their numbers.
    """
    pieces: list[str] = []
    copied = 0
    for start, end in _actions(text):
        pieces.append(text[copied:start])
        breaks = text.count("\n", start, end)
        pieces.append("\n" * breaks if breaks else BLANK)
        copied = end
    pieces.append(text[copied:])
    rows = "".join(pieces).split("\n")
    return "\n".join("" if row and not row.replace(BLANK, "").strip() else row for row in rows)


def unfilled_values(content: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, str]]:
    """Yield the paths in a document whose key or text holds a placeholder, each with that text.

    Annotations and the bodies of responses are skipped: they may hold placeholders for their readers.
    """
    if isinstance(content, str):
        if any(_actions(content)):
            yield path, content
    elif isinstance(content, list):
        for index, item in enumerate(content):
            yield from unfilled_values(item, (*path, index))
    elif isinstance(content, dict):
        for key, value in content.items():
            if any(_actions(key)):
                yield (*path, key), key
            elif key not in _FREE_TEXT:
                yield from unfilled_values(value, (*path, key))


def _actions(text: str) -> Iterator[tuple[int, int]]:
    """Yield the beginning and end of each `{{ }}`. Only template comments span several lines."""
    end, line_end = 0, -1
    while (start := text.find(OPENING, end)) >= 0:
        if line_end < start:
            line_end = text.find("\n", start)
            line_end = len(text) if line_end < 0 else line_end
        comment = _COMMENT.match(text, start)
        close = text.find(_CLOSING, start + 2, len(text) if comment else line_end)
        if close >= 0:
            end = close + 2
            yield start, end
        elif comment:
            return
        else:
            end = line_end
