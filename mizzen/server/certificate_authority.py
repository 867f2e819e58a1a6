"""The certificate authority of a running server: opened at the start, checked every second, and rotated.

The server polls the files: neither `mizzen ca` nor a user who replaces them notifies it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from mizzen import xds
from mizzen.identity import rotation
from mizzen.identity.authority import Authority, AuthorityError
from mizzen.identity.authority_files import FILES, FOLDER, open_authority
from mizzen.identity.certificate_store import FILE as STORE_FILE
from mizzen.identity.certificate_store import CertificateStore
from mizzen.server.faults import Faults
from mizzen.server.metrics import Metrics
from mizzen.server.options import ServeOptions
from mizzen.server.workload_certificates import WorkloadCertificates, now_utc

LOOK_SECONDS: Final = 1.0

LONGEST_WAIT: Final = 30.0
"""Longest time, in seconds, that a step of a rotation waits for proxies that do not answer."""

_Signature = tuple[tuple[int, int, int] | None, ...]


def open_certificates(
    options: ServeOptions, metrics: Metrics, clock: Callable[[], datetime] = now_utc
) -> WorkloadCertificates | None:
    """Return the certificates of the authority in the options; None if the options have none.

    Raises AuthorityError if the authority cannot be used.
    """
    if options.ca is not None:
        authority = open_authority(options.ca, clock())
    elif options.state is not None:
        authority = rotation.open_state_authority(options.state / FOLDER, clock())
    else:
        return None
    lifetime = options.workload_certificate_ttl
    store = _open_store(options.state, metrics) if options.state is not None else None
    return WorkloadCertificates(authority, store, metrics, lifetime=lifetime, clock=clock)


def _open_store(state: Path, metrics: Metrics) -> CertificateStore | None:
    log = structlog.get_logger("mizzen.certificates")
    try:
        return CertificateStore(state)
    except (sqlite3.Error, OSError) as error:
        path = state / STORE_FILE
        metrics.state_failures.inc()
        log.error(
            "the stored certificates cannot be read, and are issued again", file=str(path), error=str(error)
        )
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    try:
        return CertificateStore(state)
    except (sqlite3.Error, OSError) as error:
        metrics.state_failures.inc()
        log.error(
            "certificates cannot be stored: a restart issues them again", file=str(path), error=str(error)
        )
        return None


class CertificateAuthority:
    """Updates a server's authority when its directory changes, and continues its rotation."""

    def __init__(
        self,
        certificates: WorkloadCertificates,
        options: ServeOptions,
        clients: Callable[[], Iterable[xds.ClientStatus]],
        faults: Faults,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self.certificates = certificates
        self._rotates = options.ca is None
        state = options.state if options.state is not None else Path()
        self.directory = options.ca if options.ca is not None else state / FOLDER
        self._clients = clients
        self._faults = faults
        self._clock = clock
        self._seen = self._signature()
        self._said: tuple[str, ...] = ()
        self._waiting_since: float | None = None
        self._log = structlog.get_logger("mizzen.certificates")
        # Short lifetimes need frequent checks.
        self._rest = min(timedelta(seconds=LOOK_SECONDS), certificates.lifetime / 20).total_seconds()

    async def keep(self, renew: Callable[[], Awaitable[bool]]) -> None:
        """Adopt changes of the authority, and renew certificates by calling `renew`, which returns True if
        more are due. Never ends."""
        while True:
            more = False
            try:
                await self._look()
                more = await renew()
                self._warn()
            except Exception:
                self._faults.note("certificates could not be renewed", exc_info=True)
            await asyncio.sleep(0 if more else self._rest)

    async def _look(self) -> None:
        signature = self._signature()
        signs = signature == self._seen and self._rotates and self._waits_to_sign()
        if signature == self._seen and not signs:
            self._waiting_since = None
            return
        # A change may remove trust, so first every proxy must have the secrets of the change before.
        if not self._is_everything_delivered():
            return
        try:
            if signs:
                await asyncio.to_thread(rotation.sign, self.directory, self._clock())
                self._log.warning(
                    "the new root of the certificate authority signs now; the old one is trusted"
                )
                signature = self._signature()
            self._seen = signature  # taken before the files are read: a later change is seen next time
            self._take_over(await asyncio.to_thread(self._open))
            self.certificates.refused = ""
        except AuthorityError as error:
            self.certificates.refused = f"the certificate authority stays as it was: {error}"

    def _open(self) -> Authority:
        if self._rotates:
            return rotation.open_state_authority(self.directory, self._clock())
        return open_authority(self.directory, self._clock())

    def _take_over(self, authority: Authority) -> None:
        before = self.certificates.authority
        if before.roots == authority.roots and before.issuer.certificate == authority.issuer.certificate:
            return
        self.certificates.adopt(authority)
        self._log.warning(
            "the certificate authority has changed",
            issuer=authority.issuer.certificate.subject.rfc4514_string(),
            roots=[root.subject.rfc4514_string() for root in authority.roots],
        )

    def _waits_to_sign(self) -> bool:
        return (self.directory / rotation.NEXT).exists()

    def _is_everything_delivered(self) -> bool:
        """True if every proxy has accepted the newest secrets that it asks for, or the wait was too long."""
        secret = xds.type_urls.SECRET
        behind = [
            client.node_id
            for client in self._clients()
            if secret in client.types
            and not client.types[secret].synced
            and client.types[secret].error is None
        ]
        now = time.monotonic()
        if not behind:
            self._waiting_since = None
            return True
        if self._waiting_since is None:
            self._waiting_since = now
        if now - self._waiting_since < LONGEST_WAIT:
            return False
        self._waiting_since = None  # the next step has its own wait
        self._log.warning("the rotation goes on without proxies that do not answer", proxies=behind[:10])
        return True

    def _signature(self) -> _Signature:
        return tuple(_stamp(self.directory / name) for name in FILES)

    def _warn(self) -> None:
        said = tuple(self.certificates.warnings)
        for warning in said:
            if warning not in self._said:
                say = self._log.error if warning == self.certificates.refused else self._log.warning
                say(warning)
        self._said = said


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ctime_ns, found.st_size, found.st_ino  # chmod changes it too
