"""Single keys, typed at the terminal that the demonstration runs in."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress


def listens() -> bool:
    """Tell whether somebody can type: standard input is a terminal, and this process in its foreground."""
    try:
        descriptor = sys.stdin.fileno()
        # In the background, to change the terminal would stop the process.
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except (AttributeError, OSError, ValueError):  # closed, replaced, or no terminal of ours
        return False


@contextmanager
def keys(actions: Mapping[str, Callable[[], object]]) -> Iterator[None]:
    """Call what belongs to a key when it is typed, while the context lasts; without a terminal do nothing.

    Keys then come without a line's end and are not shown; Ctrl-C stays a signal.
    """
    if not listens():
        yield
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            typed = os.read(descriptor, 64)
        except OSError:
            typed = b""
        if not typed:  # the terminal has gone
            loop.remove_reader(descriptor)
        for key in typed.decode(errors="replace"):
            if action := actions.get(key):
                action()

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        with suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
