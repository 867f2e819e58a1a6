"""When a workload certificate is renewed: well before it expires, and spread over time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

from mizzen.identity.workload_certificate import WorkloadCertificate

EARLIEST: Final = 0.5
LATEST: Final = 0.8
"""A certificate is renewed between these parts of its lifetime. Istio renews at about half; the rest of the
lifetime covers an outage of the control plane."""

LONGEST_WAVE: Final = timedelta(minutes=10)
_WAVE_PART: Final = 10


@dataclass(frozen=True)
class IssuedCertificate:
    """A workload certificate, the time of its issue, and the fingerprints of its issuer and its root."""

    certificate: WorkloadCertificate = field(repr=False)
    issued: datetime
    issuer: str
    root: str


def renewal_time(issued: IssuedCertificate) -> datetime:
    """Return when to renew: drawn from identity and time of issue, so that a restart does not change it."""
    lifetime = issued.certificate.not_after - issued.issued
    draw = _draw(issued, "renewal")
    return issued.issued + lifetime * (EARLIEST + (LATEST - EARLIEST) * draw)


def wave_time(issued: IssuedCertificate, begun: datetime) -> datetime:
    """Return when to replace a certificate because a new authority signs since `begun`: within a tenth of its
    lifetime, and within ten minutes."""
    lifetime = issued.certificate.not_after - issued.issued
    return begun + min(lifetime / _WAVE_PART, LONGEST_WAVE) * _draw(issued, "wave")


def _draw(issued: IssuedCertificate, purpose: str) -> float:
    text = f"{issued.certificate.identity} {issued.issued.timestamp()} {purpose}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64
