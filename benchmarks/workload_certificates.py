"""What it costs to issue the certificates of a thousand workloads, and to take them up after a restart."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from structlog.testing import capture_logs

from mizzen.identity import SpiffeId, rotation
from mizzen.identity.certificate_store import CertificateStore
from mizzen.server.metrics import Metrics
from mizzen.server.workload_certificates import WorkloadCertificates, now_utc

WORKLOADS = 1_000
PROMISED = 1.0
"""Milliseconds of processor time that a certificate may cost, with its key and with being kept."""


@dataclass(frozen=True, slots=True)
class CertificateCost:
    """Milliseconds of processor time for each certificate."""

    issued: float
    read: float


def measure() -> CertificateCost:
    """Issue the certificates as the server does for proxies that come one after the other."""
    identities = [SpiffeId("cluster.local", f"ns{n % 10}", f"account-{n}") for n in range(WORKLOADS)]
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as directory:
        state = Path(directory)
        authority = rotation.open_state_authority(state / "ca", now_utc())

        def cost() -> float:
            begun = time.process_time()
            certificates = WorkloadCertificates(authority, CertificateStore(state), Metrics("bench"))
            for identity in identities:
                certificates.secret_of(identity)
            spent = time.process_time() - begun
            certificates.close()
            return spent * 1000 / WORKLOADS

        with capture_logs():  # a line for each certificate
            return CertificateCost(cost(), cost())
