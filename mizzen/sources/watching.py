"""Waits for changes of files: by inotify on Linux, and by a slow scan of all files as a safety net."""

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
from mizzen.sources.folder_watch import ChangedPaths, FolderWatch

POLL_SECONDS: Final = 5.0
"""Seconds between two scans of all files without an event: some file systems send none (network mounts), and
neither do targets of symbolic links elsewhere."""

POLL_UNWATCHED_SECONDS: Final = 0.5
"""The same while folders cannot be watched, or one of the given paths does not exist."""

_log = structlog.get_logger(__name__)


async def watch_files(
    source: FileSource,
    *,
    poll_seconds: float = POLL_SECONDS,
    is_delaying: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[Batch, None]:
    """Yield the changed files of `source`, in batches, until closed (aclosing).

    If `is_delaying` returns True, the receiver waits for further changes. Then an empty batch tells it,
    within the source's GRACE, that there were none; but not while the source itself delays changes. Otherwise
    no batch is empty.

    The first batch has all changes since the source's last scan. A thread waits, reads and parses. This never
    ends by itself, and raises no errors of the file system: it waits for paths that vanish.
    """
    waiting = _Waiting()
    try:
        while True:
            # Start again when the set of folders changes, or a folder is replaced by one of the same name.
            places = _places(source)
            await asyncio.to_thread(waiting.watch, places)
            batch = await asyncio.to_thread(source.settled_scan)
            if batch:
                _log.debug("configuration files changed", files=len(batch))
                yield batch
            if _places(source) != places:
                continue
            async with aclosing(_batches(source, waiting, places, poll_seconds, is_delaying)) as batches:
                async for batch in batches:
                    yield batch
    finally:
        waiting.end()


async def _batches(
    source: FileSource,
    waiting: _Waiting,
    places: dict[str, tuple[int, int]],
    poll_seconds: float,
    is_delaying: Callable[[], bool],
) -> AsyncGenerator[Batch, None]:
    """Yield batches until the folders to watch differ from `places`."""
    while True:
        # No event tells that a volume is mounted again.
        is_notified = waiting.is_watching and not any(
            root in source.listing.problems for root in source.roots
        )
        interval = poll_seconds if is_notified else min(poll_seconds, POLL_UNWATCHED_SECONDS)
        timeout = source.GRACE / 2 if source.delayed or is_delaying() else interval
        batch = await asyncio.to_thread(_wait_and_look, source, waiting, places, timeout, is_delaying())
        if batch:
            _log.debug("configuration files changed", files=len(batch))
        if batch or (is_delaying() and not source.delayed):
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
    """Wait for a change, then scan the files that may have changed."""
    relevant = _Relevant(source, places)
    changed = waiting.wait(timeout, lambda path: relevant.name(path) is not None)
    if changed is not None:
        return source.settled_scan(only=relevant.names(changed))
    if source.delayed:
        return source.settled_scan(only=source.delayed)
    return {} if receiver_waits else source.settled_scan()


class _Waiting:
    """Waits in a thread: for events if the system sends them, otherwise for some time."""

    def __init__(self) -> None:
        self._in_use = threading.Lock()
        self._ended = threading.Event()
        self._folder_watch: FolderWatch | None = None
        self._reason = ""
        self.is_watching = False
        """True while the system sends events for all folders."""

    def watch(self, folders: Mapping[str, tuple[int, int]]) -> None:
        """Watch exactly these folders."""
        self.is_watching = False
        with self._in_use:
            if self._ended.is_set():
                return
            try:
                self._folder_watch = self._folder_watch or FolderWatch()
                self._folder_watch.watch(folders)
                self.is_watching = True
            except FileNotFoundError:
                pass  # a folder has just vanished: scan soon, then try again
            except OSError as error:
                if str(error) != self._reason:
                    _log.warning("folders cannot be watched, looking at intervals", reason=str(error))
                self._reason = str(error)

    def wait(self, timeout: float, matters: Callable[[str], bool]) -> ChangedPaths | None:
        """Wait for events of paths that matter; None if there was none for `timeout` seconds."""
        with self._in_use:
            if self.is_watching and self._folder_watch is not None and not self._ended.is_set():
                return self._folder_watch.wait(timeout, matters)
        self._ended.wait(timeout)
        return None

    def end(self) -> None:
        """End the waiting thread, and release the system's resources."""
        self._ended.set()
        if self._folder_watch is not None:
            self._folder_watch.stop()
            with self._in_use:
                self._folder_watch.close()


def _places(source: FileSource) -> dict[str, tuple[int, int]]:
    """Return the folders to watch, by absolute path, each with its identity.

    These are the folders with files, the parent folders of the given paths (to see a vanished path come
    back), and the folders of the targets of symbolic links.
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
    """Decides which changed paths may matter, and translates them to the source's names.

    The parent folders of the given paths are watched too, and may have many other changes. Folders are
    compared by identity: if several paths lead to a folder, inotify reports only one of them.
    """

    def __init__(self, source: FileSource, places: Mapping[str, tuple[int, int]]) -> None:
        self._source = source
        self._places = places
        self._roots = {_absolute(root): root for root in source.roots}
        self._inside = set(source.listing.folders.values())
        # The target of a link may change through a second link beside it, as with Kubernetes' `..data`.
        self._inside |= {
            places[_folder(root)] for root in self._roots if _is_link(root) and _folder(root) in places
        }

    def name(self, path: str) -> str | None:
        """Return the source's name for a path; None if changes of that path do not matter."""
        if path in self._roots:
            return self._roots[path]
        if (
            self._places.get(_folder(path)) in self._inside
            or path in self._source.listing.targets
            or any(root.startswith(path.rstrip("/") + "/") for root in self._roots)
        ):
            given = _as_given(path, self._roots)
            return None if self._source.listing.ignores(given) else given
        return None

    def names(self, changed: ChangedPaths) -> frozenset[str]:
        """Return the source's names for the changed paths; if events were lost, for all files."""
        if changed.all:
            return frozenset((*self._source.listing.files, *self._source.roots))
        return frozenset(filter(None, map(self.name, changed.paths)))


def _as_given(path: str, roots: Mapping[str, str]) -> str:
    for absolute, root in roots.items():
        if path.startswith(absolute + "/"):
            return root + path[len(absolute) :]
    return path


def _absolute(path: str) -> str:
    # Not resolve(): the target of a symbolic link may change.
    return os.path.abspath(path)  # noqa: PTH100


def _is_link(path: str) -> bool:
    return Path(path).is_symlink()


def _folder(path: str) -> str:
    return os.path.dirname(path)  # noqa: PTH120
