"""The last valid version of every document, on disk, so that a restart knows what was in force.

One table has the documents, by the digest of their content; a second one has the digests that are in force
for each file. So older versions can be kept beside the current ones (docs/decisions/0048). A separate thread
writes everything in SQLite transactions: a server that is killed leaves the state of a moment before.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import structlog

from mizzen.config import ConfigKey, Document, Origin
from mizzen.config.document import GroupKind
from mizzen.config.lines import DocumentLines
from mizzen.server.faults import Faults
from mizzen.server.former import FormerDocument, FormerDocuments, ValidDocument

LOCK: Final = "lock"
"""The file in the state directory that a running server holds."""

_FILE: Final = "documents.sqlite3"
_VERSION: Final = 2
_DOCUMENTS: Final = """
CREATE TABLE document (
    digest BLOB PRIMARY KEY, api_version TEXT NOT NULL, content TEXT NOT NULL
) WITHOUT ROWID;
"""
_IN_FORCE: Final = """
CREATE TABLE in_force (
    file TEXT NOT NULL,
    api_group TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    digest BLOB NOT NULL, written_in TEXT NOT NULL, line INTEGER NOT NULL, since REAL NOT NULL,
    PRIMARY KEY (file, api_group, kind, namespace, name)
) WITHOUT ROWID;
CREATE INDEX in_force_digest ON in_force (digest);
"""
_FROM_VERSION_1: Final = f"""
ALTER TABLE in_force RENAME TO without_groups;
DROP INDEX in_force_digest;
{_IN_FORCE}
INSERT INTO in_force
    SELECT file, ifnull(api_group, ''), kind, namespace, name,
        digest, written_in, line, since
    FROM without_groups LEFT JOIN (
        SELECT digest, substr(api_version, 1, max(0, instr(api_version, '/') - 1)) AS api_group FROM document
    ) USING (digest);
DROP TABLE without_groups;
"""  # noqa: S608 - all its parts are constants
"""In the first version documents had no groups. A document whose content is missing gets none either:
it is kept, because the load refuses a database that lacks a content."""

_STEPS: Final = {0: _DOCUMENTS + _IN_FORCE, 1: _FROM_VERSION_1}
"""What makes the database of this version from an earlier one; 0 is an empty file."""

Files = Mapping[str, tuple[ValidDocument, ...]]


class StateError(Exception):
    """The state directory cannot be used; the message says why, and what would be right."""


class State:
    """The state directory of one server. Raises StateError if it cannot be used, if other users may read it,
    or if another server uses it.

    A database that cannot be read is renamed: `error` says so, and the state starts empty. `on_failure` is
    called for each failure; `faults` notes those that are no matter of the disk.
    """

    def __init__(
        self, directory: Path, on_failure: Callable[[], None] = lambda: None, faults: Faults | None = None
    ) -> None:
        self.directory = directory
        self._faults = faults if faults is not None else Faults()
        self.error = ""
        self._on_failure = on_failure
        self._log = structlog.get_logger("mizzen.state")
        self._path = directory / _FILE
        self._lock = _take(directory)
        self._database: sqlite3.Connection | None = None
        self._rows: dict[str, dict[ConfigKey, tuple[bytes, float]]] = {}
        self._digests: set[bytes] = set()
        self._pending: dict[str, tuple[ValidDocument, ...]] = {}
        self._left: Files = {}
        self._guard = threading.Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mizzen-state")

    def read(self) -> FormerDocuments:
        """Return the documents that were in force when the last server ended. Call this before `save`."""
        try:
            return self._load()
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            self._move_aside(error)
        try:
            return self._load()
        except (sqlite3.DatabaseError, ValueError) as error:
            self._failed(error)
            return FormerDocuments()

    def save(self, files: Files) -> None:
        """Write the documents in force of these files, in the background. A file without documents is
        gone."""
        with self._guard:
            idle = not self._pending
            self._pending.update(files)
        if idle and files:
            self._writer.submit(self._write)

    def close(self) -> None:
        """Write all pending documents, and release the directory."""
        self._writer.shutdown(wait=True)
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
        os.close(self._lock)

    def _load(self) -> FormerDocuments:
        database = self._open()
        found: list[FormerDocument] = []
        texts: dict[bytes, tuple[str, str]] = {
            digest: (api_version, content)
            for digest, api_version, content in database.execute("SELECT * FROM document")
        }
        self._digests = set(texts)
        self._rows = {}
        for file, group, kind, namespace, name, digest, written_in, line, since in database.execute(
            "SELECT * FROM in_force"
        ):
            key = GroupKind(kind, group).key(namespace, name)
            if digest not in texts:
                raise ValueError(f"it lacks the content of {key}")
            self._rows.setdefault(file, {})[key] = (digest, since)
            found.append(
                FormerDocument(file, _document(key, *texts[digest], Origin(written_in, line)), since)
            )
        return FormerDocuments(found)

    def _open(self) -> sqlite3.Connection:
        if self._database is not None:
            return self._database
        # SQLite creates files that others can read, and gives its journal the mode of the database.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA secure_delete = ON")  # a key that was replaced is overwritten
            [[version]] = database.execute("PRAGMA user_version")
            if version in _STEPS:
                database.executescript(f"BEGIN; {_STEPS[version]} PRAGMA user_version = {_VERSION}; COMMIT;")
            if version:
                _check(database)
        except BaseException:
            database.close()
            raise
        self._database = database
        return database

    def _move_aside(self, error: Exception) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        self._rows, self._digests = {}, set()
        aside = self._path.with_name(f"{_FILE}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        self.error = (
            f"{self._path} could not be read ({error}); it was moved to {aside}, and a new one is made"
        )
        self._on_failure()
        self._log.error(self.error)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(_FILE + suffix).rename(aside.with_name(aside.name + suffix))

    def _write(self) -> None:
        with self._guard:
            files, self._pending = self._pending, {}
        try:
            self._store(files)
        except Exception as error:
            self._left = {**self._left, **files}  # the next change tries again
            if not isinstance(error, (sqlite3.Error, OSError, ValueError)):
                self._faults.note("the documents in force could not be saved", exc_info=True)
            self._failed(error)
        else:
            self.error = ""

    def _store(self, files: Files) -> None:
        """Write the differences; the cost depends on these files alone."""
        files = {**self._left, **files}
        database = self._open()
        contents: dict[bytes, tuple[bytes, str, str]] = {}
        changed: list[tuple[Any, ...]] = []
        gone: list[tuple[str, ...]] = []
        superseded: set[bytes] = set()
        rows: dict[str, dict[ConfigKey, tuple[bytes, float]]] = {}
        now = time.time()
        for name, documents in files.items():
            before = self._rows.get(name, {})
            rows[name] = {}
            for one in documents:
                if one.digest not in self._digests and one.digest not in contents:
                    if one.document is None:
                        continue  # its content is not known: it came into force before anything was saved
                    text = json.dumps(dict(one.document.content))
                    contents[one.digest] = (one.digest, one.document.api_version, text)
                digest, since = before.get(one.key, (b"", now))
                if digest != one.digest:
                    superseded.add(digest)
                    since = now
                rows[name][one.key] = (one.digest, since)
                place = (one.origin.file, one.origin.line)
                changed.append((name, *_columns(one.key), one.digest, *place, since))
            for key in before.keys() - rows[name].keys():
                superseded.add(before[key][0])
                gone.append((name, *_columns(key)))
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany("INSERT INTO document VALUES (?, ?, ?)", contents.values())
            database.executemany(
                "INSERT OR REPLACE INTO in_force VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", changed
            )
            database.executemany(
                "DELETE FROM in_force "
                "WHERE file = ? AND api_group = ? AND kind = ? AND namespace = ? AND name = ?",
                gone,
            )
            unused = {each for each in superseded if not _is_used(database, each)}
            database.executemany("DELETE FROM document WHERE digest = ?", ((each,) for each in unused))
            database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise
        self._rows.update(rows)
        self._digests.update(contents)
        self._digests -= unused
        self._left = {}

    def _failed(self, error: Exception) -> None:
        said = f"{self._path} cannot be written ({error}); after a restart an older state would be known"
        if said != self.error:
            self._log.error(said)
        self.error = said
        self._on_failure()


def _columns(key: ConfigKey) -> tuple[str, str, str, str]:
    return key.group_kind.group, key.group_kind.kind, key.namespace, key.name


def _is_used(database: sqlite3.Connection, digest: bytes) -> bool:
    found = database.execute("SELECT 1 FROM in_force WHERE digest = ? LIMIT 1", (digest,)).fetchone()
    return found is not None


def _check(database: sqlite3.Connection) -> None:
    """Raise ValueError if the database is damaged, or a later version of Mizzen wrote it."""
    [[version]] = database.execute("PRAGMA user_version")
    if version != _VERSION:
        raise ValueError(f"it has the version {version} of another Mizzen; this one writes {_VERSION}")
    [[found]] = database.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise ValueError(str(found))


def _document(key: ConfigKey, api_version: str, content: str, origin: Origin) -> Document:
    lines = DocumentLines.single(origin.line)
    return Document(
        api_version, key.group_kind.kind, key.namespace, key.name, json.loads(content), origin, lines
    )


def _take(directory: Path) -> int:
    """Create the directory if it does not exist, and lock it for this process; return the lock."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (directory, *_there(directory / f"{_FILE}{suffix}" for suffix in ("", "-wal", "-shm"))):
            mode = path.stat().st_mode & 0o777
            if mode & 0o077:
                right = "700" if path == directory else "600"
                hint = f", or name a folder in it, which is then made for this alone: {directory / 'mizzen'}"
                raise StateError(
                    f"--state {directory}: others may read {path} (mode {mode:o}), and the state holds "
                    f"private keys; chmod {right} {path}{hint if path == directory else ''}"
                )
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StateError(f"--state {directory}: {reason}; give a folder that this user may write") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StateError(f"--state {directory}: another server uses it; give each its own") from error
    return lock


def _there(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.exists()]
