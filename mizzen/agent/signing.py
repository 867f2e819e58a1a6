"""Having a certificate signed for a key that never leaves the agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from mizzen.identity.workload_certificate import private_key_pem
from mizzen.signing import CREATE_CERTIFICATE, SERVICE, CertificateRequest, CertificateResponse

_TIMEOUT_SECONDS = 15


class AgentError(Exception):
    """The agent cannot continue, or not now; the message says why, and shows no part of a token or key."""


@dataclass(frozen=True)
class AgentCertificate:
    """A key, its certificates without the root, and the roots, in PEM; and the period of validity."""

    private_key: bytes = field(repr=False)
    chain: bytes
    roots: bytes
    not_before: datetime
    not_after: datetime


async def signed(channel: Any, token: str, seconds: int = 0) -> AgentCertificate:
    """Make a key and have its certificate signed over `channel`; `token` may be empty if the channel has a
    certificate. Raises AgentError if the control plane refuses, cannot be reached, or sends an invalid
    response."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    call = channel.unary_unary(
        f"/{SERVICE}/{CREATE_CERTIFICATE}",
        CertificateRequest.SerializeToString,
        CertificateResponse.FromString,
    )
    message = CertificateRequest(csr=request.public_bytes(Encoding.PEM).decode(), validity_duration=seconds)
    try:
        answer = await call(message, metadata=authorization(token), timeout=_TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError as error:
        raise AgentError(f"no certificate was signed: {error.code().name}: {error.details()}") from None
    *chain, roots = (part.encode() for part in answer.cert_chain) if answer.cert_chain else (b"",)
    try:
        leaf = x509.load_pem_x509_certificates(b"".join(chain))[0]
        x509.load_pem_x509_certificates(roots)
    except ValueError:
        raise AgentError("the control plane answered with no certificate") from None
    if leaf.public_key() != key.public_key():
        raise AgentError("the control plane answered with a certificate for another key")
    return AgentCertificate(
        private_key_pem(key), b"".join(chain), roots, leaf.not_valid_before_utc, leaf.not_valid_after_utc
    )


def authorization(token: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call with a token; empty without a token."""
    return (("authorization", f"Bearer {token}"),) if token else ()
