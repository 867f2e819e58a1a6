"""The workload certificates that were issued, on disk: after a restart, valid ones are not issued again."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mizzen.identity.renewal import IssuedCertificate
from mizzen.identity.spiffe_id import SpiffeId
from mizzen.identity.workload_certificate import WorkloadCertificate

FILE: Final = "certificates.sqlite3"
_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS workload_certificate (
    identity TEXT PRIMARY KEY, chain BLOB NOT NULL, key BLOB NOT NULL,
    not_before REAL NOT NULL, not_after REAL NOT NULL, issued REAL NOT NULL,
    issuer TEXT NOT NULL, root TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS signed_certificate (
    identity TEXT NOT NULL, root TEXT NOT NULL, not_after REAL NOT NULL,
    PRIMARY KEY (identity, root)
) WITHOUT ROWID;
"""


class CertificateStore:
    """The database in `directory`, which only its owner can read. Any thread may use it.

    Raises sqlite3.Error or OSError if it cannot be opened.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / FILE
        self._lock = threading.Lock()  # without it, transactions of two threads would become one
        # SQLite gives its journal the mode of the database file, which it would create readable by other
        # users.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            # Certificates that a crash of the machine loses are issued again.
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("PRAGMA secure_delete = ON")  # a replaced key is overwritten on disk
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        [[version]] = self._database.execute("PRAGMA user_version")
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"it has the version {version} of another Mizzen")
        self._database.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def read(self, now: datetime) -> list[IssuedCertificate]:
        """Return the certificates that are valid at `now`; delete the rest."""
        for table in ("workload_certificate", "signed_certificate"):
            self._database.execute(f"DELETE FROM {table} WHERE not_after <= ?", (now.timestamp(),))  # noqa: S608
        rows = self._database.execute(
            "SELECT identity, chain, key, not_before, not_after, issued, issuer, root "
            "FROM workload_certificate"
        )
        return [
            IssuedCertificate(
                WorkloadCertificate(SpiffeId.parse(identity), chain, key, _moment(begin), _moment(end)),
                _moment(issued),
                issuer,
                root,
            )
            for identity, chain, key, begin, end, issued, issuer, root in rows
        ]

    def keep(self, issued: Iterable[IssuedCertificate]) -> None:
        """Write certificates, replacing those of the same identities: all or none."""
        rows = [
            (
                str(one.certificate.identity),
                one.certificate.certificate_chain,
                one.certificate.private_key,
                one.certificate.not_before.timestamp(),
                one.certificate.not_after.timestamp(),
                one.issued.timestamp(),
                one.issuer,
                one.root,
            )
            for one in issued
        ]
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "INSERT OR REPLACE INTO workload_certificate VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    def note_signed(self, identity: SpiffeId, root: str, not_after: datetime) -> None:
        """Record a signed certificate whose key is elsewhere, so that `in_force` counts it."""
        with self._lock:
            self._database.execute(
                "INSERT INTO signed_certificate VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET not_after = max(not_after, excluded.not_after)",
                (str(identity), root, not_after.timestamp()),
            )

    def in_force(self, now: datetime) -> dict[str, list[tuple[str, datetime]]]:
        """Return the identities and expiry times of the certificates that are valid at `now`, by root."""
        found: dict[str, list[tuple[str, datetime]]] = {}
        for table in ("workload_certificate", "signed_certificate"):
            for identity, root, not_after in self._database.execute(
                f"SELECT identity, root, not_after FROM {table} WHERE not_after > ? ORDER BY identity",  # noqa: S608
                (now.timestamp(),),
            ):
                found.setdefault(root, []).append((identity, _moment(not_after)))
        return found


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
