"""Placeholders of templates that nobody filled in, such as `{{ .Values.host }}` and `{{- if ... }}`.

Such a text is what Helm renders into YAML, and often no YAML itself. What is found here is only named; it is
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
"""An action that is but a name. Of others no word is shown: they may hold a password as a default."""

BLANK: Final = "\ue000"
"""Stands in a masked text for what the template would put there."""

_FREE_TEXT: Final = frozenset({"annotations", "body"})
"""Fields whose text is for others to read: it may hold placeholders that are meant for them."""


def unfilled_message(action: str = "") -> str:
    """Return what is wrong with a placeholder; `action` is its text in the file, if that is known."""
    name = _NAME.search(action)
    shown = "{{ " + name[1] + " }}" if name else "{{ }}"
    return f"a placeholder `{shown}` of a template is not filled in; render the template first"


def unfilled_lines(text: str, first_line: int) -> list[tuple[int, str]]:
    """Return the lines with placeholders outside of comments, each with its first one.

    `first_line` is the line of the file with which `text` begins.
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
    """Return `text` with BLANK for every placeholder, nothing for those that have a line to themselves.

    The lines stay where they are.
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
    """Yield the places of a document whose key or text holds a placeholder, each with that text.

    Passed over are annotations and the bodies of answers, which may hold placeholders for their readers.
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
    """Yield where each `{{ }}` begins and ends. Only comments of templates go over several lines."""
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
