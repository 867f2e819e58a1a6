"""The certificates of the connected workloads: issued when one is first needed, renewed in time.

Certificates are issued and renewed in the worker's thread alone; other threads may read what is there.
Processes that run under one identity share its certificate.
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
"""Longest time that certificates are renewed in one go."""

ENDS_SOON: Final = timedelta(days=30)
"""So long before its end the authority is warned of, if it lives much longer than that."""


@dataclass(frozen=True, slots=True)
class _Held:
    issued: IssuedCertificate
    secret: Resource
    renews: datetime


def now_utc() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


class WorkloadCertificates:
    """Holds a certificate for each identity that a connected proxy has.

    Args:
        authority: what signs.
        store: where certificates are kept for the next start; None: nowhere.
        metrics: where it counts.
        lifetime: how long a certificate holds.
        clock: tells the time.
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
        self._held: dict[SpiffeId, _Held] = {}
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
        """What signs now."""
        return self._authority

    @property
    def roots(self) -> Resource:
        """The secret `ROOTCA`."""
        return self._roots

    def current(self, identity: SpiffeId) -> Resource | None:
        """Return the secret `default` of an identity; None if none was issued."""
        held = self._held.get(identity)
        return held.secret if held is not None else None

    def adopt(self, authority: Authority) -> None:
        """Go over to another authority, or to other roots, with the next `renew`. From any thread."""
        self._adopted = authority

    def _take_over(self, authority: Authority) -> None:
        """Certificates of the former authority are replaced in a wave."""
        self._since = self._clock()
        self._failure = ""
        self._set(authority)
        self._due.clear()
        for identity, held in list(self._held.items()):
            if identity not in self._idle:
                self._put(identity, held.issued, held.secret)
            elif not self._is_trusted(held.issued):
                self._idle.discard(identity)
                del self._held[identity]

    def secret_of(self, identity: SpiffeId) -> Resource | None:
        """Return the secret `default` of an identity, issued if need be; None if that fails."""
        held = self._held.get(identity)
        now = self._clock()
        if held is not None and held.issued.certificate.not_after > now and self._is_trusted(held.issued):
            if identity in self._idle:
                self._put(identity, held.issued, held.secret)
            return held.secret
        made = self._issue(identity, now)
        if made is None:
            return held.secret if held is not None else None
        self._log.info("a certificate was issued", identity=str(identity), until=_text(made))
        self._metrics.certificates_issued.inc()
        self._keep([made])
        return self._held[identity].secret

    def renew(self, used: Collection[SpiffeId]) -> bool:
        """Renew, for a slice of time, what is due of the identities that are in use. Return whether more is
        due."""
        adopted, self._adopted = self._adopted, None
        if adopted is not None:
            self._take_over(adopted)
        now = self._clock()
        end = time.perf_counter() + SLICE_SECONDS
        made: list[IssuedCertificate] = []
        while self._due and self._due[0][0] <= now and time.perf_counter() < end:
            moment, _, identity = heapq.heappop(self._due)
            held = self._held.get(identity)
            if held is None or held.renews != moment:
                continue  # it was scheduled anew
            if identity not in used:
                self._idle.add(identity)
            elif (issued := self._issue(identity, now)) is not None:
                made.append(issued)
        if made:
            self._keep(made)
            self._metrics.certificates_renewed.inc(len(made))
            self._log.info("certificates were renewed", number=len(made), first=str(_identity(made[0])))
        for identity in [each for each in self._idle if self._held[each].issued.certificate.not_after <= now]:
            self._idle.discard(identity)
            del self._held[identity]
        self._measure()
        return bool(self._due) and self._due[0][0] <= now

    @property
    def warnings(self) -> list[str]:
        """What is wrong with the authority, for people."""
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
        """Return how the authority and the certificates stand, without a key."""
        now = self._clock()
        issuer = self._authority.issuer.certificate
        mine = fingerprint(issuer)
        held = list(self._held.items())
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
                for identity, one in sorted(held, key=lambda pair: str(pair[0]))
                if identity not in self._idle
            ],
        }

    def close(self) -> None:
        """Close what it was kept in."""
        if self._store is not None:
            self._store.close()

    def note_signed(self, made: SignedCertificate, authority: Authority) -> None:
        """Remember a certificate that `authority` signed for a key that is elsewhere; a rotation counts it.

        From any thread."""
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
        """Take up what a former server issued, of roots that are still trusted."""
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
        self._held[identity] = _Held(issued, secret, renews)
        self._idle.discard(identity)
        self._schedule(identity, renews)

    def _schedule(self, identity: SpiffeId, renews: datetime) -> None:
        heapq.heappush(self._due, (renews, str(identity), identity))

    def _renewal(self, issued: IssuedCertificate) -> datetime:
        moment = renewal_time(issued)
        if not self._is_trusted(issued):
            return self._since  # nobody believes it any more
        if issued.issuer != self._issuer:
            return min(moment, wave_time(issued, self._since))
        # A new one would end with the authority too, and be as old at once.
        ends = self._authority.issuer.certificate.not_valid_after_utc
        return issued.certificate.not_after if issued.certificate.not_after >= ends else moment

    def _failed(self, error: Exception) -> None:
        self._metrics.state_failures.inc()
        self._log.error(
            "certificates cannot be kept in the state directory: a restart issues them anew", error=str(error)
        )

    def _measure(self) -> None:
        ends = self._authority.ends.timestamp()
        self._metrics.authority_expiry.set(ends)
        self._metrics.authority_refused.set(bool(self.refused))
        self._metrics.certificates.set(len(self._held) - len(self._idle))
        in_use = [one for identity, one in self._held.items() if identity not in self._idle]
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
