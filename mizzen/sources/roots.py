"""Detects folders that vanish: an unmounted volume must not look like a folder that was emptied."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mizzen.config import ParsedFile
from mizzen.config.yaml_documents import unreadable_file
from mizzen.sources.listing import Listing

_EMPTIED: Final = (
    "has no files any more; mount it or put its files back; "
    "to empty it on purpose, leave one file with only a comment in it"
)
_UNMOUNTED: Final = "is not mounted any more; mount it again"


@dataclass(frozen=True, slots=True)
class _Identity:
    """A folder when it was last read: its real path, its inode, its mount and the mounts above."""

    real: str
    inode: tuple[int, int]
    mount: int
    mounts_above: frozenset[int]


class Roots:
    """Remembers the identity of the given folders, and detects those that have vanished."""

    def __init__(self, roots: Iterable[str]) -> None:
        self._roots = tuple(roots)
        self._known: dict[str, _Identity] = {}
        self._now: dict[str, _Identity] = {}
        self._mounted: dict[str, int] = {}
        self._mounted_now: dict[str, int] = {}
        self._vanished: set[str] = set()
        self.replaced = False
        """True while a path is a different folder than when it was last read, or a folder has come back."""

    def note_vanished(self, listing: Listing, had: Iterable[str]) -> None:
        """Record each vanished folder of `listing` as a problem, so that its files count as unknown.

        A folder has vanished if it had files (in `had`) and has none now, or if it was a mount and its path
        now shows the folder below the mount. The files of that folder are removed from the listing.
        """
        self._now, self._mounted_now = {}, dict(self._mounted)
        had = tuple(had)
        for root in self._roots:
            if root not in listing.folders:
                if root in listing.problems and root in self._known:
                    self._vanished.add(root)
                continue
            now = _identity(root, listing.folders[root])
            known = self._known.get(root)
            # Files of a former process do not count: a start waits for missing documents in its own way.
            gave = known is not None and any(_is_in(file, root) for file in had)
            unmounted = known is not None and known.mount != now.mount and now.mount in known.mounts_above
            if gave and unmounted:
                self._vanish(root, _UNMOUNTED, listing)
            elif gave and not any(_is_in(file, root) for file in (*listing.files, *listing.problems)):
                self._vanish(root, _EMPTIED, listing)
            else:
                self._now[root] = now
        self._look_at_mounts(listing, had)
        self.replaced = any(self._is_replaced(root, now) for root, now in self._now.items())

    def handed_out(self) -> None:
        """Record the present folders: their files have been returned."""
        self._vanished -= self._now.keys()
        self._known.update(self._now)
        self._mounted = self._mounted_now
        self.replaced = False

    def _vanish(self, folder: str, why: str, listing: Listing) -> None:
        self._vanished.add(folder)
        _take_off(folder, listing)
        listing.problems[folder] = _problem(folder, why)

    def _is_replaced(self, root: str, now: _Identity) -> bool:
        known = self._known.get(root)
        if known is None:
            return False
        # A symbolic link that is changed to a different folder shows all its files at once.
        return root in self._vanished or (known.real == now.real and known.inode != now.inode)

    def _look_at_mounts(self, listing: Listing, had: tuple[str, ...]) -> None:
        """Check the volumes that are mounted inside the folders."""
        devices = {folder: device for folder, (device, _) in listing.folders.items()}
        for folder, device in devices.items():
            above = devices.get(os.path.dirname(folder))  # noqa: PTH120
            if above is not None and above != device:
                self._mounted_now[folder] = device
        for folder in self._mounted:
            above = devices.get(os.path.dirname(folder))  # noqa: PTH120
            if above is None:
                continue  # the folder above has vanished itself, or is gone
            if devices.get(folder, above) == above:
                if any(_is_in(file, folder) for file in had):
                    self._vanish(folder, _UNMOUNTED, listing)
                else:
                    del self._mounted_now[folder]


def _take_off(folder: str, listing: Listing) -> None:
    for name in [name for name in listing.files if _is_in(name, folder)]:
        del listing.files[name]
    for name in [name for name in listing.problems if _is_in(name, folder)]:
        del listing.problems[name]


def _is_in(file: str, folder: str) -> bool:
    return file.startswith(folder.rstrip("/") + "/")


def _problem(folder: str, why: str) -> ParsedFile:
    return unreadable_file(folder, why)


def _identity(root: str, inode: tuple[int, int]) -> _Identity:
    real = os.path.realpath(root)
    mount, above = _mount(real), real
    mounts: set[int] = set()
    while above != "/":
        above = os.path.dirname(above)  # noqa: PTH120
        mounts.add(_mount(above))
    return _Identity(real, inode, mount, frozenset(mounts - {mount}))


def _mount(path: str) -> int:
    """Return a number that identifies a mount: the kernel's mount id, which differs for two mounts of one
    device; without one, a negative number for the device; 0 if the path is gone."""
    number = _mount_id(path)
    if number is not None:
        return number
    with contextlib.suppress(OSError):
        return -1 - os.stat(path).st_dev  # noqa: PTH116
    return 0


def _mount_id(path: str) -> int | None:
    if not hasattr(os, "O_PATH"):
        return None  # not Linux
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_PATH)
        try:
            with open(f"/proc/self/fdinfo/{descriptor}") as about:  # noqa: PTH123
                for line in about:
                    name, _, value = line.partition(":")
                    if name == "mnt_id":
                        return int(value)
        finally:
            os.close(descriptor)
    return None
