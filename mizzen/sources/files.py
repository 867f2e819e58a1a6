"""Configuration from files: their content, and what has changed since the last scan."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mizzen.config import ConfigKey, ParsedFile, parse_documents
from mizzen.config.file_pieces import Pieces
from mizzen.config.yaml_documents import MAX_FILE_BYTES, empty_file, too_big, unreadable_file
from mizzen.sources.listing import Listing, Stamp, list_files, read_file, stamp_of, why_unreadable
from mizzen.sources.roots import Roots

Batch = Mapping[str, ParsedFile | None]
"""Changed files by name; None for a file that is gone."""

_RACY_NS: Final = 100_000_000
"""A file that changed this shortly before it was read may change again with the same stamp, because file
systems store times to some milliseconds only. The next scan compares its content, whatever the stamp says."""

_RACY_COARSE_NS: Final = 2_100_000_000
"""The same for a file whose times are whole seconds: its file system counts in seconds, or in pairs of
them."""

_SECOND_NS: Final = 1_000_000_000


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


_NO_BYTES: Final = _digest(b"")


@dataclass(slots=True)
class _FileVersion:
    """A version of a file that was read. Without a stamp, the next scan reads the file again."""

    stamp: Stamp | None
    digest: bytes
    keys: frozenset[ConfigKey]
    parsed: ParsedFile | None = None
    pieces: Pieces = field(default_factory=dict)


class FileSource:
    """Reads YAML and JSON files, and folders of them, and returns the changed ones.

    Errors of the file system do not raise: a path that cannot be read is returned as a broken ParsedFile that
    says why, so that a ConfigStore keeps its former documents. A file is read again only if its stamp
    changed, and returned only if its content changed.
    """

    GRACE: Final = 0.1
    """Seconds without any change after which `settled_scan` accepts a loss: editors and copying tools empty
    or remove a file before they write it again, and a `git pull` pauses between two files."""

    RETURNED_GRACE: Final = 0.5
    """The same after a folder was replaced or came back: its files may still be being written."""

    LONGEST: Final = 2.0
    """Seconds after which losses are accepted although files still change."""

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        default_namespace: str = "default",
        max_bytes: int = MAX_FILE_BYTES,
        once: bool = False,
    ) -> None:
        """Look at these files and folders; with `once` there will be a single scan."""
        self.roots: tuple[str, ...] = tuple(
            dict.fromkeys(os.path.normpath(os.fspath(path)) for path in paths)
        )
        self.listing = Listing()
        self._default_namespace = default_namespace
        self._max_bytes = max_bytes
        self._once = once
        self._seen: dict[str, _FileVersion] = {}
        self._pending: dict[str, _FileVersion] = {}
        self._problems: dict[str, ParsedFile] = {}
        self._roots = Roots(self.roots)
        self._losses: frozenset[str] = frozenset()
        self._states: dict[str, object] = {}
        self._begun = 0.0
        self.latest = 0.0
        """When `settled_scan` last saw a change that it returned or delayed."""
        self._returned = False

    def remember(self, files: Mapping[str, frozenset[ConfigKey]]) -> None:
        """Count files as returned by a former process, with these documents. The next scan returns them all:
        the present ones with their content, the rest as gone."""
        for name, keys in files.items():
            self._seen.setdefault(name, _FileVersion(None, b"", keys))

    def scan(self) -> Batch:
        """Read all files; return those that changed since the last scan, at first all of them."""
        return self._hand_out(self._look(frozenset()))

    def first_scan(self) -> Batch:
        """Like `scan`, for a start: a file that is read without a single byte is returned as broken, because
        its writer may just have begun."""
        return self._hand_out(self._look(frozenset()), are_empty_files_broken=True)

    def settled_scan(self, now: float | None = None, only: Iterable[str] | None = None) -> Batch:
        """Like `scan`, but accept a loss (a file gone, broken, or with documents missing) only when no file
        has changed for GRACE, or after LONGEST.

        Until then all changes are delayed, so a batch is never a mixture of two states of the files.

        `now` is a monotonic time in seconds. `only` names the paths that are known to have changed. These
        files are read and compared by content, whatever their stamps say. If all of them are known files, no
        other files are checked.
        """
        now = time.monotonic() if now is None else now
        named = frozenset(only or ())
        batch = self._look_at(named) if only is not None else None
        if batch is None:
            batch = self._look(named)
        if not self._losses_accepted(batch, now):
            return {}
        return self._hand_out(batch)

    @property
    def delayed(self) -> frozenset[str]:
        """The lost files because of which `settled_scan` delays all changes: scan again within GRACE."""
        return self._losses

    def _losses_accepted(self, batch: Batch, now: float) -> bool:
        """True if the losses in `batch` are accepted: no file has changed for long enough."""
        lost = self._lost(batch)
        if not self._losses:
            self._begun = now
            self._returned = False
        self._losses = lost
        if not lost:
            self.latest = now
            return True
        states = {name: self._state(name, parsed) for name, parsed in batch.items()}
        if states != self._states:
            self._states, self.latest = states, now
        self._returned = self._returned or self._roots.replaced
        if self._returned:
            return now - self.latest >= self.RETURNED_GRACE
        return now - self.latest >= self.GRACE or now - self._begun >= self.LONGEST

    def _lost(self, batch: Batch) -> frozenset[str]:
        """Return the files in `batch` that are gone, broken, or lack documents that no other file has now."""
        elsewhere = frozenset(
            key for name in batch if name in self._pending for key in self._pending[name].keys
        )
        return frozenset(name for name, parsed in batch.items() if self._is_loss(name, parsed, elsewhere))

    def _state(self, name: str, parsed: ParsedFile | None) -> object:
        pending = self._pending.get(name)
        return pending.digest if pending is not None else parsed

    def _is_loss(self, name: str, parsed: ParsedFile | None, elsewhere: frozenset[ConfigKey]) -> bool:
        before = self._seen.get(name)
        if before is None:
            if parsed is not None and parsed.broken and name in self.listing.files:
                return True
            return name in self.listing.problems and self._has_given_files(name)  # a folder has vanished
        if parsed is not None and parsed.broken:
            return True
        there = _keys(parsed) if parsed is not None else frozenset()
        return not before.keys <= there | elsewhere

    def _has_given_files(self, folder: str) -> bool:
        return any(file.startswith(folder.rstrip("/") + "/") for file in self._seen)

    def _look(self, named: frozenset[str]) -> dict[str, ParsedFile | None]:
        """Check all files, and return the differences from what was returned before."""
        listing = list_files(self.roots)
        listing.reuse_stamps(self.listing)
        self.listing = listing
        self._roots.note_vanished(self.listing, self._seen)
        self._pending = {name: each for name, each in self._pending.items() if name in self.listing.files}
        forced = self._forced(named)
        for name, stamp in list(self.listing.files.items()):
            self._compare(name, stamp, force=name in forced)
        batch: dict[str, ParsedFile | None] = {name: each.parsed for name, each in self._pending.items()}
        for name in self._seen.keys() - self.listing.files.keys():
            if not self.listing.unknown(name):
                batch[name] = None
        told = self._problems
        batch.update((name, each) for name, each in self.listing.problems.items() if told.get(name) != each)
        for name in self._problems.keys() - self.listing.problems.keys():
            if name not in self.listing.files:
                batch[name] = None
        return batch

    def _forced(self, named: frozenset[str]) -> frozenset[str]:
        """Return the files to read whatever their stamps say: those named, and the targets of links."""
        if named - self.listing.files.keys():
            return named | self.listing.linked
        return named

    def _look_at(self, names: frozenset[str]) -> dict[str, ParsedFile | None] | None:
        """Check some known files alone; None if that is not enough, so that all files must be checked."""
        if self._states.keys() - self.listing.files.keys():
            return None  # a file that is gone, or a folder, is delayed
        for name in names | self._losses:
            if self.listing.ignores(name):
                continue
            if name not in self.listing.files or name in self._problems:
                return None
            try:
                stamp = stamp_of(Path(name).stat())
            except OSError:
                return None
            self.listing.files[name] = stamp
            self._compare(name, stamp, force=True)
            if name in self.listing.problems:
                return None
        return {name: each.parsed for name, each in self._pending.items()}

    def _compare(self, name: str, stamp: Stamp, *, force: bool) -> None:
        """Read a file if its stamp changed or `force` is set; make it pending if its content differs."""
        last = self._pending.get(name) or self._seen.get(name)
        if last is not None and last.stamp == stamp and not force and name not in self._problems:
            return
        problem: ParsedFile | None = None
        data = b""
        if stamp.size > self._max_bytes:
            problem = too_big(name, stamp.size, self._max_bytes)
        else:
            try:
                data = read_file(name, self._max_bytes + 1)
            except FileNotFoundError:
                return  # removed since it was listed: the next scan finds it gone
            except OSError as error:
                problem = unreadable_file(name, why_unreadable(error))
        if problem is not None:
            self.listing.problems[name] = problem
            self._pending.pop(name, None)
            return
        digest = _digest(data)
        usable = None if _is_racy(stamp) else stamp
        if name not in self._problems and last is not None and last.digest == digest:
            last.stamp = usable
            return
        seen = self._seen.get(name)
        if name not in self._problems and seen is not None and seen.digest == digest:
            seen.stamp = usable
            del self._pending[name]
            return
        parsed = parse_documents(
            data,
            name,
            default_namespace=self._default_namespace,
            max_bytes=self._max_bytes,
            known=last.pieces if last is not None else None,
            once=self._once,
        )
        self._pending[name] = _FileVersion(usable, digest, _keys(parsed), parsed, parsed.pieces)

    def _hand_out(
        self, batch: dict[str, ParsedFile | None], *, are_empty_files_broken: bool = False
    ) -> Batch:
        """Record the batch as returned, so that it is not returned again.

        A file that had documents and has not a single byte is returned as broken, so that they stay in force:
        a command that writes into it has not begun to, or has failed.
        """
        for name in tuple(batch) if are_empty_files_broken else self._lost(batch):
            version = self._pending.get(name)
            if version is not None and version.digest == _NO_BYTES:
                batch[name] = version.parsed = empty_file(name)
        for name, parsed in batch.items():
            version = self._pending.get(name)
            if version is not None:
                before = self._seen.get(name)
                if version.parsed is not None and version.parsed.broken and before is not None:
                    # The former documents of a broken file are not lost: they stay in force.
                    version.keys |= before.keys
                version.parsed = None
                self._seen[name] = version
                self._problems.pop(name, None)
            elif parsed is None:
                self._seen.pop(name, None)
                self._problems.pop(name, None)
            else:
                self._problems[name] = parsed
        self._pending.clear()
        self._losses = frozenset()
        self._states.clear()
        self._roots.handed_out()
        return batch


def _is_racy(stamp: Stamp) -> bool:
    newest = max(stamp.modified_ns, stamp.changed_ns)
    coarse = stamp.modified_ns % _SECOND_NS == 0 and stamp.changed_ns % _SECOND_NS == 0
    return time.time_ns() - newest < (_RACY_COARSE_NS if coarse else _RACY_NS)


def _keys(parsed: ParsedFile) -> frozenset[ConfigKey]:
    return frozenset([each.key for each in parsed.documents] + [each.key for each in parsed.refused])
