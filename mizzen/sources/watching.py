"""Waiting for changes of files: inotify through watchfiles, and a slow look at everything as a safety net."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final

import structlog
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from mizzen.sources.files import Batch, FileSource

QUIET_MS: Final = 5
"""A burst of changes is over when nothing happened for so long; one change alone waits no longer either."""

BURST_MS: Final = 50
"""A burst is handed out after so long, even if it goes on."""

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
    is_holding: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[Batch, None]:
    """Yield what changed in the files of `source`, in batches, until closed (aclosing).

    A batch is empty only while `is_holding` says that the receiver waits for what else changes: it is told
    within the source's GRACE that nothing did. While the source itself holds something back, it is not.

    Whatever changed since the source's last scan is in the first batch. Reading and parsing happen in a
    thread. Never ends by itself and raises nothing of the file system: paths that vanish are waited for.
    """
    stop = threading.Event()
    try:
        while True:
            # Anew whenever the set of folders changes, or one is replaced by another of the same name.
            places = _places(source)
            notify = await asyncio.to_thread(_notify, places)
            batch = await asyncio.to_thread(source.settled_scan)
            if batch:
                _log.debug("configuration files changed", files=len(batch))
                yield batch
            if _places(source) != places:
                continue
            async with aclosing(_batches(source, notify, places, poll_seconds, stop, is_holding)) as batches:
                async for following in batches:
                    yield following
    finally:
        stop.set()


async def _batches(
    source: FileSource,
    notify: RustNotify | None,
    places: dict[str, tuple[int, int]],
    poll_seconds: float,
    stop: threading.Event,
    is_holding: Callable[[], bool],
) -> AsyncGenerator[Batch, None]:
    """Yield batches until the folders to be watched are others than `places`."""
    while True:
        # Nothing tells that a volume is mounted again.
        noticed = notify is not None and not any(root in source.listing.problems for root in source.roots)
        interval = poll_seconds if noticed else min(poll_seconds, POLL_UNWATCHED_SECONDS)
        timeout = source.GRACE / 2 if source.holding or is_holding() else interval
        try:
            changed = await asyncio.to_thread(_wait, notify, timeout, stop)
        except WatchfilesRustInternalError:
            return  # A name that is not UTF-8; that watcher says nothing else from now on.
        only: frozenset[str] | None = None
        if changed is not None:
            only = _relevant(changed, source, places)
            if not only and not source.holding and not is_holding():
                continue
        elif source.holding:
            only = source.holding
        elif is_holding():
            yield {}
            continue
        batch = await asyncio.to_thread(source.settled_scan, only=only)
        if batch:
            _log.debug("configuration files changed", files=len(batch))
        if batch or (is_holding() and not source.holding):
            yield batch
        if _places(source) != places:
            return


def _wait(notify: RustNotify | None, timeout: float, stop: threading.Event) -> set[str] | None:
    """Wait for changes, at most `timeout` seconds; return the paths that changed, None if none did."""
    if notify is None:
        stop.wait(timeout)
        return None
    result = notify.watch(BURST_MS, QUIET_MS, max(1, int(timeout * 1000)), stop)
    return {path for _, path in result} if isinstance(result, set) else None


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


def _notify(places: Iterable[str]) -> RustNotify | None:
    """Watch folders; None if the system cannot, so that one must look without notice."""
    try:
        return RustNotify([*places], False, False, 0, False, True)
    except FileNotFoundError:
        return None  # One vanished just now: look again soon, then try again.
    except (OSError, UnicodeEncodeError, WatchfilesRustInternalError) as error:
        _log.warning("folders cannot be watched, looking at intervals", reason=str(error))
        return None


def _relevant(
    changed: Iterable[str], source: FileSource, places: Mapping[str, tuple[int, int]]
) -> frozenset[str]:
    """Return the changed paths that may matter, by the source's names for them.

    The folders around the given paths are watched too, and much else may happen there. A folder is told by
    its identity, as inotify knows one that is reached by several paths by one of them only.
    """
    inside = set(source.listing.folders.values())
    roots = {_absolute(root): root for root in source.roots}
    # What a link means may change by another link beside it, as Kubernetes' `..data` does.
    inside |= {places[_folder(root)] for root in roots if _is_link(root) and _folder(root) in places}
    found: set[str] = set()
    for path in changed:
        if path in roots:
            found.add(roots[path])
        elif (
            places.get(_folder(path)) in inside
            or path in source.listing.targets
            or any(root.startswith(path.rstrip("/") + "/") for root in roots)
        ):
            found.add(_as_given(path, roots))
    return frozenset(found)


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
