"""Makes a text safe for a terminal: some of what is shown comes from files and proxies of others."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text as one line that hides nothing and steers no terminal.

    What separates lines or words becomes a blank. Other control characters, and invisible ones such as
    U+200B, become their escapes.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else repr(letter)[1:-1]
