"""Keeps Python's cycle collector from visiting the whole mesh again and again.

A full collection visits every object: with 10,000 services it stops the process for more than half a second,
in the midst of a change. Nearly all of these objects live until their document changes, and are then freed by
their reference counts, without the collector. So the collector is told to ignore all present objects
(`gc.freeze`) after each change, and between the steps of a first translation. Once an hour it visits
everything, to free reference cycles.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import time
from collections.abc import Callable
from functools import cache

_THRESHOLDS = (100_000, 20, 50)
"""How often the young generations are collected; the defaults are meant for much smaller programs."""

_FULL_SECONDS = 3600.0


class Garbage:
    """The cycle collector of this process. There is only one, so only the process's entry point uses this."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_full = clock()
        self._before = gc.get_threshold()
        gc.disable()  # objects made during the start live until the end

    def settle(self) -> None:
        """Ignore all present objects from now on. To be called when they will live for a while; it costs next
        to nothing."""
        if not gc.isenabled():
            gc.set_threshold(*_THRESHOLDS)
            gc.enable()
        elif self._clock() - self._last_full >= _FULL_SECONDS:
            self._last_full = self._clock()
            gc.unfreeze()
            gc.collect()
        gc.freeze()

    def give_back(self) -> None:
        """Return free memory to the system. To be called after much was forgotten.

        Python keeps lists of freed objects for reuse, and these hold on to memory in many places. Only a full
        collection empties the lists. After `settle` it visits no objects, so it is cheap.
        """
        self.settle()
        gc.collect()
        _trim()

    def restore(self) -> None:
        """Restore the collector's former settings."""
        gc.unfreeze()
        gc.set_threshold(*self._before)
        gc.enable()


def _trim() -> None:
    """Make the C library return free memory, if it can do that (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        _c_library().malloc_trim(0)


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)
