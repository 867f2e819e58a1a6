"""The certificates of the connected workloads: issued at the first need, and renewed in time.

Only the worker's thread issues and renews certificates; other threads may read them. Processes with the same
identity share its certificate.
"""

from __future__ import annotations

import heapq
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from mizzen.identity.authority import Authority, certificates_of, fingerprint, path_to_root
from mizzen.identity.certificate_store import CertificateStore
from mizzen.identity.renewal import IssuedCertificate, renewal_time, wave_time
from mizzen.identity.spiffe_id import SpiffeId
from mizzen.identity.workload_certificate import LIFETIME, SignedCertificate, issue
from mizzen.server.metrics import Metrics
from mizzen.translator.tls.workload_secrets import trust_bundle, workload_secret
from mizzen.xds import Resource

SLICE_SECONDS: Final = 0.01
"""Longest time, in seconds, for which certificates are renewed in one slice."""

ENDS_SOON: Final = timedelta(days=30)
"""Time before the authority's end at which warnings begin, if its lifetime is much longer."""


@dataclass(frozen=True, slots=True)
class _Current:
    issued: IssuedCertificate
    secret: Resource
    renews: datetime


def now_utc() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


class WorkloadCertificates:
    """Has a certificate for each identity of a connected proxy.

    Args:
        authority: signs the certificates.
        store: stores certificates for the next start; None for no store.
        metrics: the metrics to update.
        lifetime: the lifetime of a certificate.
        clock: returns the current time.
    """

    def __init__(
        self,
        authority: Authority,
        store: CertificateStore | None,
        metrics: Metrics,
        *,
        lifetime: timedelta = LIFETIME,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self.lifetime = lifetime
        self._clock = clock
        self._log = structlog.get_logger("mizzen.certificates")
        self._current: dict[SpiffeId, _Current] = {}
        self._due: list[tuple[datetime, str, SpiffeId]] = []
        self._idle: set[SpiffeId] = set()
        self._failure = ""
        self.refused = ""
        """Why the authority's files cannot be used, so that it stays as it was; empty if they can."""
        self._since = clock()
        self._adopted: Authority | None = None
        self._set(authority)
        self._read()

    @property
    def authority(self) -> Authority:
        """The authority that signs now."""
        return self._authority

    @property
    def roots(self) -> Resource:
        """The secret `ROOTCA`."""
        return self._roots

    def current(self, identity: SpiffeId) -> Resource | None:
        """Return the secret `default` of an identity; None if none was issued."""
        found = self._current.get(identity)
        return found.secret if found is not None else None

    def adopt(self, authority: Authority) -> None:
        """Use this authority and its roots from the next `renew` on. Any thread may call this."""
        self._adopted = authority

    def _take_over(self, authority: Authority) -> None:
        """Use a new authority. Certificates of the former one are replaced gradually (`wave_time`)."""
        self._since = self._clock()
        self._failure = ""
        self._set(authority)
        self._due.clear()
        for identity, found in list(self._current.items()):
            if identity not in self._idle:
                self._put(identity, found.issued, found.secret)
            elif not self._is_trusted(found.issued):
                self._idle.discard(identity)
                del self._current[identity]

    def secret_of(self, identity: SpiffeId) -> Resource | None:
        """Return the secret `default` of an identity, issued if there is none; None if that fails."""
        found = self._current.get(identity)
        now = self._clock()
        if found is not None and found.issued.certificate.not_after > now and self._is_trusted(found.issued):
            if identity in self._idle:
                self._put(identity, found.issued, found.secret)
            return found.secret
        made = self._issue(identity, now)
        if made is None:
            return found.secret if found is not None else None
        self._log.info("a certificate was issued", identity=str(identity), until=_text(made))
        self._metrics.certificates_issued.inc()
        self._keep([made])
        return self._current[identity].secret

    def renew(self, used: Collection[SpiffeId]) -> bool:
        """Renew, for a slice of time, the due certificates of identities in use. Return True if more are
        due."""
        adopted, self._adopted = self._adopted, None
        if adopted is not None:
            self._take_over(adopted)
        now = self._clock()
        end = time.perf_counter() + SLICE_SECONDS
        made: list[IssuedCertificate] = []
        while self._due and self._due[0][0] <= now and time.perf_counter() < end:
            moment, _, identity = heapq.heappop(self._due)
            found = self._current.get(identity)
            if found is None or found.renews != moment:
                continue  # it has a newer schedule
            if identity not in used:
                self._idle.add(identity)
            elif (issued := self._issue(identity, now)) is not None:
                made.append(issued)
        if made:
            self._keep(made)
            self._metrics.certificates_renewed.inc(len(made))
            self._log.info("certificates were renewed", number=len(made), first=str(_identity(made[0])))
        for identity in [
            each for each in self._idle if self._current[each].issued.certificate.not_after <= now
        ]:
            self._idle.discard(identity)
            del self._current[identity]
        self._measure()
        return bool(self._due) and self._due[0][0] <= now

    @property
    def warnings(self) -> list[str]:
        """Warnings about the authority, for people to read."""
        refused = [self.refused] if self.refused else []
        if self._failure:
            return [*refused, self._failure]
        now, ends = self._clock(), self._authority.ends
        life = ends - self._authority.issuer.certificate.not_valid_before_utc
        if ends - now < min(ENDS_SOON, life / 5):
            left = _span(ends - now)
            return [
                *refused,
                f"the certificate authority ends at {ends.isoformat()}, in {left}: {_NEXT_STEP}",
            ]
        return refused

    def as_json(self) -> dict[str, Any]:
        """Return the status of the authority and the certificates, without keys."""
        now = self._clock()
        issuer = self._authority.issuer.certificate
        mine = fingerprint(issuer)
        certificates = list(self._current.items())
        return {
            "authority": {
                "issuer": issuer.subject.rfc4514_string(),
                "fingerprint": mine,
                "until": self._authority.ends.isoformat(),
                "roots": [
                    {
                        "name": root.subject.rfc4514_string(),
                        "fingerprint": fingerprint(root),
                        "until": root.not_valid_after_utc.isoformat(),
                    }
                    for root in self._authority.roots
                ],
                "warnings": self.warnings,
            },
            "workloads": [
                {
                    "identity": str(identity),
                    "until": one.issued.certificate.not_after.isoformat(),
                    "expires_in_seconds": round((one.issued.certificate.not_after - now).total_seconds(), 3),
                    "renews_in_seconds": round(max(0.0, (one.renews - now).total_seconds()), 3),
                    "issuer": one.issued.issuer,
                    "of_former_authority": one.issued.issuer != mine,
                }
                for identity, one in sorted(certificates, key=lambda pair: str(pair[0]))
                if identity not in self._idle
            ],
        }

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()

    def note_signed(self, made: SignedCertificate, authority: Authority) -> None:
        """Record a certificate that `authority` signed for an agent's key, so that a rotation counts it.

        Any thread may call this."""
        if self._store is None:
            return
        try:
            self._store.note_signed(made.identity, _root_of(authority), made.not_after)
        except sqlite3.Error as error:
            self._failed(error)

    def _set(self, authority: Authority) -> None:
        self._authority = authority
        self._roots = trust_bundle(authority.roots_pem)
        self._issuer, self._root = fingerprint(authority.issuer.certificate), _root_of(authority)
        self._trusted = {fingerprint(root) for root in authority.roots}

    def _is_trusted(self, issued: IssuedCertificate) -> bool:
        return issued.root in self._trusted

    def _read(self) -> None:
        """Load the certificates of a former server, if their roots are still trusted."""
        if self._store is None:
            return
        try:
            found = self._store.read(self._clock())
        except (sqlite3.Error, ValueError) as error:
            self._failed(error)
            return
        for one in found:
            if self._is_trusted(one):
                self._put(_identity(one), one, _secret(one))

    def _issue(self, identity: SpiffeId, now: datetime) -> IssuedCertificate | None:
        try:
            made = issue(self._authority.issuer, identity, now, self.lifetime)
        except ValueError as error:
            said = f"no certificate can be issued: {error}; {_NEXT_STEP}"
            if said != self._failure:
                self._log.error(said)
            self._failure = said
            return None
        return IssuedCertificate(made, now, self._issuer, self._root)

    def _keep(self, made: Iterable[IssuedCertificate]) -> None:
        made = list(made)
        if self._store is not None:
            try:
                self._store.keep(made)
            except sqlite3.Error as error:
                self._failed(error)
        for one in made:
            self._put(_identity(one), one, _secret(one))

    def _put(self, identity: SpiffeId, issued: IssuedCertificate, secret: Resource) -> None:
        renews = self._renewal(issued)
        self._current[identity] = _Current(issued, secret, renews)
        self._idle.discard(identity)
        self._schedule(identity, renews)

    def _schedule(self, identity: SpiffeId, renews: datetime) -> None:
        heapq.heappush(self._due, (renews, str(identity), identity))

    def _renewal(self, issued: IssuedCertificate) -> datetime:
        moment = renewal_time(issued)
        if not self._is_trusted(issued):
            return self._since  # no proxy trusts it any more
        if issued.issuer != self._issuer:
            return min(moment, wave_time(issued, self._since))
        # A renewed certificate would end with the authority too, so a renewal would gain nothing.
        ends = self._authority.issuer.certificate.not_valid_after_utc
        return issued.certificate.not_after if issued.certificate.not_after >= ends else moment

    def _failed(self, error: Exception) -> None:
        self._metrics.state_failures.inc()
        self._log.error(
            "certificates cannot be stored in the state directory: a restart issues them again",
            error=str(error),
        )

    def _measure(self) -> None:
        ends = self._authority.ends.timestamp()
        self._metrics.authority_expiry.set(ends)
        self._metrics.authority_refused.set(bool(self.refused))
        self._metrics.certificates.set(len(self._current) - len(self._idle))
        in_use = [one for identity, one in self._current.items() if identity not in self._idle]
        soonest = min((one.issued.certificate.not_after.timestamp() for one in in_use), default=ends)
        self._metrics.certificate_expiry.set(soonest)


_NEXT_STEP: Final = "renew it: mizzen ca rotate, or new files for --ca"


def _root_of(authority: Authority) -> str:
    issuer = authority.issuer
    path = path_to_root(issuer.certificate, certificates_of(issuer.chain), authority.roots)
    return fingerprint(path[-1])


def _identity(one: IssuedCertificate) -> SpiffeId:
    return one.certificate.identity


def _secret(one: IssuedCertificate) -> Resource:
    return workload_secret(one.certificate.certificate_chain, one.certificate.private_key)


def _text(one: IssuedCertificate) -> str:
    return one.certificate.not_after.isoformat()


def _span(left: timedelta) -> str:
    return f"{left.days} days" if left.days else f"{max(0, int(left.total_seconds()))} s"
