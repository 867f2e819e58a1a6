"""Keeps Python's cycle collector from walking through the whole mesh again and again.

A full collection visits every object: with 10,000 services it stops the process for more than half a second,
in the midst of a change. Nearly all of these objects live until their document changes and then go by their
reference counts, without the collector. So it is told to pass over what has settled (`gc.freeze`), and
everything is looked at only once an hour, for what refers to itself in a circle.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import time
from collections.abc import Callable
from functools import cache

_THRESHOLDS = (100_000, 20, 50)
"""The young generations are collected this often; the defaults are meant for much smaller programs."""

_FULL_SECONDS = 3600.0


class Garbage:
    """The cycle collector of this process; as there is but one, this is for the process's entry point."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_full = clock()
        self._before = gc.get_threshold()
        gc.disable()  # nothing that is made while starting goes before the end

    def settle(self) -> None:
        """Call this when a change has been taken over: what is there now is going to stay for a while."""
        if not gc.isenabled():
            gc.set_threshold(*_THRESHOLDS)
            gc.enable()
        elif self._clock() - self._last_full >= _FULL_SECONDS:
            self._last_full = self._clock()
            gc.unfreeze()
            gc.collect()
        gc.freeze()

    def give_back(self) -> None:
        """Give free memory back to the system: call this when much has been forgotten.

        A full collection is what empties the lists of freed objects that Python keeps for the next ones;
        these hold on to memory all over the place. As everything has settled, it looks at nothing.
        """
        self.settle()
        gc.collect()
        _trim()

    def restore(self) -> None:
        """Put everything back as it was before."""
        gc.unfreeze()
        gc.set_threshold(*self._before)
        gc.enable()


def _trim() -> None:
    """Let the C library give back what is free, where it can do that (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        _c_library().malloc_trim(0)


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)
