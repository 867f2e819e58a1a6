"""Identities of workloads and their certificates; knows nothing of Istio's kinds or Envoy."""

from mizzen.identity.authority import Authority, AuthorityError, fingerprint
from mizzen.identity.authority_files import (
    create_authority,
    open_authority,
    open_or_create_authority,
)
from mizzen.identity.spiffe_id import SpiffeId, SpiffeIdError
from mizzen.identity.workload_certificate import (
    Issuer,
    SignedCertificate,
    WorkloadCertificate,
    issue,
    sign,
)

__all__ = [
    "Authority",
    "AuthorityError",
    "Issuer",
    "SignedCertificate",
    "SpiffeId",
    "SpiffeIdError",
    "WorkloadCertificate",
    "create_authority",
    "fingerprint",
    "issue",
    "open_authority",
    "open_or_create_authority",
    "sign",
]
