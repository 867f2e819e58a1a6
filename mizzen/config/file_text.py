"""The text of a file, and its pieces: one for each document marker."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class NotText:
    """Why bytes are not text, and the line (from 1) of the first wrong one; 0 for the file as a whole."""

    message: str
    line: int = 0


def file_text(data: bytes) -> str | NotText:
    """Decode a file: UTF-8 with or without a byte order mark, or UTF-16 with one."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            return NotText("is not text; give YAML or JSON in UTF-8")
    if b"\0" in data:
        return NotText("is a binary file; give YAML or JSON in UTF-8")
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return NotText(f"the byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8", line)
    # The search is slow, and hardly any file has an escape.
    if "\\u" in text and text.lstrip()[:1] in ("{", "["):
        return _SURROGATES.sub(_astral, text)
    return text


_SURROGATES: Final = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)


def _astral(match: re.Match[str]) -> str:
    """Return YAML's escape of the character that a JSON surrogate pair means."""
    high, low = int(match[2], 16), int(match[3], 16)
    return f"{match[1]}\\U{0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF):08X}"


_SEPARATOR: Final = re.compile(r"---(?=[ \t\r\n]|\Z)")
"""A document marker, if it begins a line. Searching for the beginning of the line as well would be slow."""

_DIRECTIVE: Final = re.compile(r"^(?:%|\.\.\.(?=[ \t\r\n]|\Z))", re.MULTILINE)


def text_pieces(text: str) -> Iterator[tuple[str, int]]:
    """Split a text at its document markers; yield each piece and its first line.

    A marker stands only between documents (YAML 1.2 section 9.1.2), so each piece can be read alone, and an
    error in one hides nothing in the others. A text with directives or document ends is left whole.
    """
    if ("%" in text or "..." in text) and _DIRECTIVE.search(text):
        yield text, 1
        return
    start, line = 0, 1
    for marker in _SEPARATOR.finditer(text):
        if marker.start() > start and text[marker.start() - 1] == "\n":
            yield text[start : marker.start()], line
            line += text.count("\n", start, marker.start())
            start = marker.start()
    yield text[start:], line
