"""Configuration from files: what is there, and what has changed since one last looked."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mizzen.config import ConfigKey, ParsedFile, parse_documents
from mizzen.config.yaml_documents import MAX_FILE_BYTES, too_big, unreadable_file
from mizzen.sources.listing import Listing, Stamp, list_files, read_file, stamp_of, why_unreadable

Batch = Mapping[str, ParsedFile | None]
"""Files that changed, by name; None for a file that is gone."""

_RACY_NS: Final = 100_000_000
"""A file changed this shortly before it was read may change again without its stamp showing it: file systems
keep times to some milliseconds only. Its content is compared next time, whatever the stamp says."""


@dataclass(slots=True)
class _Seen:
    """A file as it was last handed out. No stamp: look at its content again."""

    stamp: Stamp | None
    digest: bytes
    keys: frozenset[ConfigKey]


@dataclass(slots=True)
class Held:
    """A loss that may be but the middle of a change: what is seen, since when, and since when anything is."""

    state: Stamp | None
    since: float
    first: float


@dataclass(slots=True)
class _Found:
    """One look at the files, before it is decided what of it is handed out."""

    batch: dict[str, ParsedFile | None] = field(default_factory=dict)
    seen: dict[str, _Seen] = field(default_factory=dict)


class FileSource:
    """Reads YAML and JSON files, and folders of them, and hands out what has changed.

    Nothing that goes wrong raises: a path that cannot be read is handed out as a broken ParsedFile that says
    why, so that a ConfigStore keeps what it had from there. A file is read again only if its stamp changed,
    and handed out only if its content did.
    """

    GRACE: Final = 0.1
    """Seconds for which a loss must last before `settled_scan` believes it: editors and copying tools empty
    or remove a file before they write it anew."""

    LONGEST: Final = 2.0
    """Seconds after which a loss is believed although the file still changes."""

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        default_namespace: str = "default",
        max_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self.roots: tuple[str, ...] = tuple(
            dict.fromkeys(os.path.normpath(os.fspath(path)) for path in paths)
        )
        self.listing = Listing()
        self._default_namespace = default_namespace
        self._max_bytes = max_bytes
        self._seen: dict[str, _Seen] = {}
        self._problems: dict[str, ParsedFile] = {}
        self._held: dict[str, Held] = {}

    def remember(self, files: Mapping[str, frozenset[ConfigKey]]) -> None:
        """Count files as handed out by an earlier process, with these documents: the next scan says which of
        them are gone, and hands out the others."""
        for name, keys in files.items():
            self._seen.setdefault(name, _Seen(None, b"", keys))

    def scan(self) -> Batch:
        """Look at all files; return those that changed since the last scan, at first all of them."""
        self._held.clear()
        found = self._look()
        return self._hand_out(found, found.batch)

    def settled_scan(self, now: float | None = None, only: Iterable[str] | None = None) -> Batch:
        """Like `scan`, but a loss (a file gone, broken, or with documents missing) is held back for GRACE.

        `now` is a time in seconds that never goes back. `only` names files that are known to be all that may
        have changed, if every one of them is there and known; else everything is looked at.
        """
        now = time.monotonic() if now is None else now
        found = self._look_at(only) if only is not None else None
        if found is None:
            found = self._look()
        elsewhere = frozenset(key for seen in found.seen.values() for key in seen.keys)
        ready = {
            name: parsed
            for name, parsed in found.batch.items()
            if not self._is_loss(name, parsed, elsewhere) or self._has_lasted(name, now)
        }
        for name in [name for name in self._held if name not in found.batch or name in ready]:
            del self._held[name]
        return self._hand_out(found, ready)

    @property
    def holding(self) -> frozenset[str]:
        """The files whose loss `settled_scan` holds back: look again within GRACE."""
        return frozenset(self._held)

    def _is_loss(self, name: str, parsed: ParsedFile | None, elsewhere: frozenset[ConfigKey]) -> bool:
        before = self._seen.get(name)
        if before is None:
            if parsed is not None and parsed.broken:
                return name in self.listing.files
            return name in self.listing.problems and self._has_given_files(name)  # a folder is empty now
        if parsed is not None and parsed.broken:
            return True
        there = _keys(parsed) if parsed is not None else frozenset()
        return not before.keys <= there | elsewhere

    def _has_given_files(self, folder: str) -> bool:
        return any(file.startswith(folder.rstrip("/") + "/") for file in self._seen)

    def _has_lasted(self, name: str, now: float) -> bool:
        state = self.listing.files.get(name)
        held = self._held.get(name)
        if held is None:
            self._held[name] = Held(state, now, now)
            return False
        if held.state != state:
            held.state, held.since = state, now
        return now - held.since >= self.GRACE or now - held.first >= self.LONGEST

    def _look(self) -> _Found:
        """Look at everything, and return what differs from what was handed out."""
        self.listing = list_files(self.roots)
        found = _Found()
        for name, stamp in self.listing.files.items():
            self._compare(name, stamp, found)
        for name in self._seen.keys() - self.listing.files.keys():
            if not self.listing.unknown(name):
                found.batch[name] = None
        for name, problem in self.listing.problems.items():
            if self._problems.get(name) != problem:
                found.batch[name] = problem
        for name in self._problems.keys() - self.listing.problems.keys():
            if name not in self.listing.files:
                found.batch[name] = None
        return found

    def _look_at(self, names: Iterable[str]) -> _Found | None:
        """Look at some known files alone; None if that does not tell all, so that one must look at all."""
        found = _Found()
        for name in {*names, *self._held}:
            if self.listing.passes_over(name):
                continue
            if name not in self.listing.files or name in self._problems:
                return None
            try:
                stamp = stamp_of(Path(name).stat())
            except OSError:
                return None
            self.listing.files[name] = stamp
            self._compare(name, stamp, found)
            if name in self.listing.problems:
                return None
        return found

    def _compare(self, name: str, stamp: Stamp, found: _Found) -> None:
        """Read a file if its stamp changed, and note it if its content did."""
        seen = self._seen.get(name)
        if seen is not None and seen.stamp == stamp and name not in self._problems:
            return
        problem: ParsedFile | None = None
        data = b""
        if stamp.size > self._max_bytes:
            problem = too_big(name, stamp.size, self._max_bytes)
        else:
            try:
                data = read_file(name, self._max_bytes + 1)
            except FileNotFoundError:
                return  # Removed since it was listed: the next look finds it gone.
            except OSError as error:
                problem = unreadable_file(name, why_unreadable(error))
        if problem is not None:
            self.listing.problems[name] = problem
            return
        digest = hashlib.blake2b(data, digest_size=16).digest()
        racy = time.time_ns() - stamp.modified_ns < _RACY_NS
        if seen is not None and seen.digest == digest and name not in self._problems:
            seen.stamp = None if racy else stamp
            return
        parsed = parse_documents(
            data, name, default_namespace=self._default_namespace, max_bytes=self._max_bytes
        )
        found.batch[name] = parsed
        found.seen[name] = _Seen(None if racy else stamp, digest, _keys(parsed))

    def _hand_out(self, found: _Found, batch: Mapping[str, ParsedFile | None]) -> Batch:
        """Remember what is handed out, so that it is not handed out again."""
        for name, parsed in batch.items():
            if name in found.seen:
                before = self._seen.get(name)
                self._seen[name] = found.seen[name]
                if parsed is not None and parsed.broken and before is not None:
                    # What a broken file held is not lost: it stays in force.
                    self._seen[name].keys |= before.keys
                self._problems.pop(name, None)
            elif parsed is None:
                self._seen.pop(name, None)
                self._problems.pop(name, None)
            else:
                self._problems[name] = parsed
        return dict(batch)


def _keys(parsed: ParsedFile) -> frozenset[ConfigKey]:
    return frozenset([each.key for each in parsed.documents] + [each.key for each in parsed.refused])
