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
    """Tell whether keys can be typed: standard input is a terminal, and this process is in its foreground."""
    try:
        descriptor = sys.stdin.fileno()
        # In the background, changing the terminal would stop the process.
        return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except (AttributeError, OSError, ValueError):  # closed, replaced, or no terminal of ours
        return False


@contextmanager
def keys(actions: Mapping[str, Callable[[], object]]) -> Iterator[None]:
    """While the context lasts, call the action of each key that is typed; without a terminal do nothing.

    Keys then come without Enter and are not shown; Ctrl-C stays a signal.
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
        if not typed:  # the terminal is gone
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
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
