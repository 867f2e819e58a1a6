"""When a workload certificate is renewed: well before its end, and not all of them at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final

from mizzen.identity.workload_certificate import WorkloadCertificate

EARLIEST: Final = 0.5
LATEST: Final = 0.8
"""Between these parts of its lifetime a certificate is renewed. Istio renews at about a half; the rest of the
lifetime is for a control plane that is down."""

LONGEST_WAVE: Final = timedelta(minutes=10)
_WAVE_PART: Final = 10


@dataclass(frozen=True)
class IssuedCertificate:
    """A workload certificate, when it was made, and by whom: the fingerprints of its issuer and its root."""

    certificate: WorkloadCertificate = field(repr=False)
    issued: datetime
    issuer: str
    root: str


def renewal_time(held: IssuedCertificate) -> datetime:
    """Return when to renew: drawn from identity and time of issue, so it is the same after a restart."""
    lifetime = held.certificate.not_after - held.issued
    draw = _draw(held, "renewal")
    return held.issued + lifetime * (EARLIEST + (LATEST - EARLIEST) * draw)


def wave_time(held: IssuedCertificate, begun: datetime) -> datetime:
    """Return when to replace a certificate, because since `begun` another authority signs: within a tenth of
    its lifetime, and within ten minutes."""
    lifetime = held.certificate.not_after - held.issued
    return begun + min(lifetime / _WAVE_PART, LONGEST_WAVE) * _draw(held, "wave")


def _draw(held: IssuedCertificate, purpose: str) -> float:
    text = f"{held.certificate.identity} {held.issued.timestamp()} {purpose}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64
