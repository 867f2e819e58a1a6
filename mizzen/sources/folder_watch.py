"""Watches folders for changes, by Linux's inotify.

An inotify event also tells when the writer of a file closes it. So a single save is known to be complete at
once, and only changes that may continue need a wait.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from inotify_simple import Event, INotify, flags

ONE_SAVE_SECONDS: Final = 0.0003
"""How long a single complete file (closed, or renamed into its place) waits for a second one. A program that
writes many files has begun the next one by then."""

QUIET_SECONDS: Final = 0.005
"""Quiet time after which several files, or a file that its writer has not closed, count as complete."""

BURST_SECONDS: Final = 0.05
"""Longest wait for the end of a burst. A change this shortly after another one belongs to a burst."""

_MASK: Final = int(
    flags.MODIFY
    | flags.ATTRIB
    | flags.CLOSE_WRITE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.CREATE
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)
_COMPLETE: Final = int(flags.CLOSE_WRITE | flags.MOVED_TO)
_INCOMPLETE: Final = int(flags.MODIFY | flags.CREATE | flags.DELETE | flags.MOVED_FROM)
_OVERFLOW: Final = int(flags.Q_OVERFLOW)
_IGNORED: Final = int(flags.IGNORED)


@dataclass(slots=True)
class ChangedPaths:
    """Changed paths. `all`: events were lost, so any file may have changed."""

    paths: set[str] = field(default_factory=set)
    all: bool = False
    _incomplete: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return self.all or bool(self.paths)

    @property
    def is_one_save(self) -> bool:
        """True for one file that its writer has completed."""
        return len(self.paths) == 1 and not self._incomplete and not self.all

    def add(self, path: str, mask: int) -> None:
        """Add an event at a path."""
        self.paths.add(path)
        if mask & _COMPLETE:
            self._incomplete.discard(path)
        elif mask & _INCOMPLETE:
            self._incomplete.add(path)


class FolderWatch:
    """Watches folders, without their subfolders.

    Raises:
        OSError: the system has no inotify, or its limit is reached.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "only Linux has inotify")
        self._inotify = INotify()
        self._folders: dict[int, str] = {}
        self._stopped, self._stop = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._inotify.fileno(), select.POLLIN)
        self._poll.register(self._stopped, select.POLLIN)
        self._last = -math.inf
        self._stopping = False

    def watch(self, folders: Iterable[str]) -> None:
        """Watch exactly these folders from now on. Events are queued until `wait`.

        A folder without permission to read is left out.

        Raises:
            FileNotFoundError: one of the folders is gone.
            OSError: the system's limit of watches is reached.
        """
        watched: dict[int, str] = {}
        for folder in folders:
            try:
                watched.setdefault(self._inotify.add_watch(folder, _MASK), folder)
            except PermissionError:
                continue
            except NotADirectoryError as error:
                raise FileNotFoundError(errno.ENOENT, "no folder any more", folder) from error
        for descriptor in self._folders.keys() - watched.keys():
            with contextlib.suppress(OSError):  # the kernel has removed the watch with its folder
                self._inotify.rm_watch(descriptor)
        self._folders = watched

    def wait(self, timeout: float, matters: Callable[[str], bool]) -> ChangedPaths | None:
        """Wait for a complete change of paths that matter; return None after `timeout` seconds or `stop`.

        Blocks its thread. `matters` is called with the path of every event.
        """
        end = time.monotonic() + timeout
        changed = ChangedPaths()
        while not changed:
            left = end - time.monotonic()
            ready = self._poll.poll(max(0, math.ceil(left * 1000)))
            if not ready or any(descriptor == self._stopped for descriptor, _ in ready):
                return None
            self._take(changed, matters)
        begun = time.monotonic()
        in_burst = begun - self._last < BURST_SECONDS
        while time.monotonic() - begun < BURST_SECONDS and not self._stopping:
            time.sleep(ONE_SAVE_SECONDS if changed.is_one_save and not in_burst else QUIET_SECONDS)
            if not self._take(changed, matters):
                break
        self._last = time.monotonic()
        return changed

    def stop(self) -> None:
        """End `wait`, now and in future calls. May be called in any thread, before `close`."""
        self._stopping = True
        os.write(self._stop, b"\0")

    def close(self) -> None:
        """Release the system's resources; no method may be called after this."""
        self._inotify.close()
        os.close(self._stop)
        os.close(self._stopped)

    def _take(self, changed: ChangedPaths, matters: Callable[[str], bool]) -> bool:
        """Read the queued events; return True if any of them matters."""
        matter = False
        for event in self._inotify.read(timeout=0):
            if event.mask & _OVERFLOW:
                changed.all = matter = True
                continue
            path = self._path(event)
            if path is not None and matters(path):
                changed.add(path, event.mask)
                matter = True
        return matter

    def _path(self, event: Event) -> str | None:
        folder = self._folders.get(event.wd)
        if folder is None or event.mask & _IGNORED:
            return None
        # An event without a name is about the folder itself.
        return f"{folder.rstrip('/')}/{event.name}" if event.name else folder
