"""Waiting for changes of files: inotify on Linux, and a slow look at everything as a safety net."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final

import structlog

from mizzen.sources.files import Batch, FileSource
from mizzen.sources.notices import FolderNotices, Noticed

POLL_SECONDS: Final = 5.0
"""How often everything is looked at without any notice, as some file systems give none (network mounts, and
targets of symbolic links elsewhere)."""

POLL_UNWATCHED_SECONDS: Final = 0.5
"""The same while folders cannot be watched, or one of the given paths is not there."""

_log = structlog.get_logger(__name__)


async def watch_files(
    source: FileSource,
    *,
    poll_seconds: float = POLL_SECONDS,
    is_delaying: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[Batch, None]:
    """Yield what changed in the files of `source`, in batches, until closed (aclosing).

    A batch is empty only while `is_delaying` says that the receiver waits for what else changes: it is told
    within the source's GRACE that nothing did. While the source itself holds something back, it is not.

    Whatever changed since the source's last scan is in the first batch. Waiting, reading and parsing happen
    in a thread. Never ends by itself and raises nothing of the file system: paths that vanish are waited for.
    """
    waiting = _Waiting()
    try:
        while True:
            # Anew whenever the set of folders changes, or one is replaced by another of the same name.
            places = _places(source)
            await asyncio.to_thread(waiting.watch, places)
            batch = await asyncio.to_thread(source.settled_scan)
            if batch:
                _log.debug("configuration files changed", files=len(batch))
                yield batch
            if _places(source) != places:
                continue
            async with aclosing(_batches(source, waiting, places, poll_seconds, is_delaying)) as batches:
                async for following in batches:
                    yield following
    finally:
        waiting.end()


async def _batches(
    source: FileSource,
    waiting: _Waiting,
    places: dict[str, tuple[int, int]],
    poll_seconds: float,
    is_delaying: Callable[[], bool],
) -> AsyncGenerator[Batch, None]:
    """Yield batches until the folders to be watched are others than `places`."""
    while True:
        # Nothing tells that a volume is mounted again.
        noticed = waiting.is_told and not any(root in source.listing.problems for root in source.roots)
        interval = poll_seconds if noticed else min(poll_seconds, POLL_UNWATCHED_SECONDS)
        timeout = source.GRACE / 2 if source.holding or is_delaying() else interval
        batch = await asyncio.to_thread(_wait_and_look, source, waiting, places, timeout, is_delaying())
        if batch:
            _log.debug("configuration files changed", files=len(batch))
        if batch or (is_delaying() and not source.holding):
            yield batch
        if _places(source) != places:
            return


def _wait_and_look(
    source: FileSource,
    waiting: _Waiting,
    places: Mapping[str, tuple[int, int]],
    timeout: float,
    receiver_waits: bool,
) -> Batch:
    """Wait for a change, then look at what may have changed."""
    relevant = _Relevant(source, places)
    noticed = waiting.wait(timeout, lambda path: relevant.name(path) is not None)
    if noticed is not None:
        return source.settled_scan(only=relevant.names(noticed))
    if source.holding:
        return source.settled_scan(only=source.holding)
    return {} if receiver_waits else source.settled_scan()


class _Waiting:
    """Waits in a thread: for notices where the system gives them, else for time to pass."""

    def __init__(self) -> None:
        self._in_use = threading.Lock()
        self._ended = threading.Event()
        self._diagnostic_log: FolderNotices | None = None
        self._reason = ""
        self.is_told = False
        """True while the system tells of changes in all folders."""

    def watch(self, folders: Mapping[str, tuple[int, int]]) -> None:
        """Ask the system for notices from exactly these folders."""
        self.is_told = False
        with self._in_use:
            if self._ended.is_set():
                return
            try:
                self._diagnostic_log = self._diagnostic_log or FolderNotices()
                self._diagnostic_log.watch(folders)
                self.is_told = True
            except FileNotFoundError:
                pass  # One vanished just now: look again soon, then try again.
            except OSError as error:
                if str(error) != self._reason:
                    _log.warning("folders cannot be watched, looking at intervals", reason=str(error))
                self._reason = str(error)

    def wait(self, timeout: float, matters: Callable[[str], bool]) -> Noticed | None:
        """Wait for notices of paths that matter; None if there was none for `timeout` seconds."""
        with self._in_use:
            if self.is_told and self._diagnostic_log is not None and not self._ended.is_set():
                return self._diagnostic_log.wait(timeout, matters)
        self._ended.wait(timeout)
        return None

    def end(self) -> None:
        """Let the thread that waits go, and give back what the system gave."""
        self._ended.set()
        if self._diagnostic_log is not None:
            self._diagnostic_log.stop()
            with self._in_use:
                self._diagnostic_log.close()


def _places(source: FileSource) -> dict[str, tuple[int, int]]:
    """Return the folders to be watched, by absolute path, each with its identity.

    These are the folders with files, those in which the given paths stand (a path that vanishes is seen to
    come back), and those of files that symbolic links mean.
    """
    places = {_absolute(folder): identity for folder, identity in source.listing.folders.items()}
    for path in (*source.roots, *source.listing.targets):
        above = _folder(_absolute(path))
        while True:
            try:
                status = Path(above).stat()
            except OSError:
                above = _folder(above)
                continue
            places.setdefault(above, (status.st_dev, status.st_ino))
            break
    return places


class _Relevant:
    """Which changed paths may matter, and the source's names for them.

    The folders around the given paths are watched too, and much else may happen there. A folder is told by
    its identity, as inotify knows one that is reached by several paths by one of them only.
    """

    def __init__(self, source: FileSource, places: Mapping[str, tuple[int, int]]) -> None:
        self._source = source
        self._places = places
        self._roots = {_absolute(root): root for root in source.roots}
        self._inside = set(source.listing.folders.values())
        # What a link means may change by another link beside it, as Kubernetes' `..data` does.
        self._inside |= {
            places[_folder(root)] for root in self._roots if _is_link(root) and _folder(root) in places
        }

    def name(self, path: str) -> str | None:
        """Return the source's name for a path, None if nothing that happens there matters."""
        if path in self._roots:
            return self._roots[path]
        if (
            self._places.get(_folder(path)) in self._inside
            or path in self._source.listing.targets
            or any(root.startswith(path.rstrip("/") + "/") for root in self._roots)
        ):
            given = _as_given(path, self._roots)
            return None if self._source.listing.passes_over(given) else given
        return None

    def names(self, noticed: Noticed) -> frozenset[str]:
        """Return the source's names for what was noticed: if notices were lost, for everything."""
        if noticed.all:
            return frozenset((*self._source.listing.files, *self._source.roots))
        return frozenset(filter(None, map(self.name, noticed.paths)))


def _as_given(path: str, roots: Mapping[str, str]) -> str:
    for absolute, root in roots.items():
        if path.startswith(absolute + "/"):
            return root + path[len(absolute) :]
    return path


def _absolute(path: str) -> str:
    # Not resolve(): what a symbolic link means may change.
    return os.path.abspath(path)  # noqa: PTH100


def _is_link(path: str) -> bool:
    return Path(path).is_symlink()


def _folder(path: str) -> str:
    return os.path.dirname(path)  # noqa: PTH120
