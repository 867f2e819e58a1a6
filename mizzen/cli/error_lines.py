"""Lines on standard error: what a command says beside its answer."""

from __future__ import annotations

import sys

from mizzen.explain.printable import printable


def print_error_line(text: str) -> None:
    """Print a text to standard error, with escapes for what is invisible: it may quote files of others."""
    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr)
