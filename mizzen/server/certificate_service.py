"""Istio's certificate service: signs certificates for callers that prove their identity.

As in istiod, the certificate is for the caller's own identity, whatever the request asks for.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from mizzen import xds
from mizzen.identity.authority import Authority, pem
from mizzen.identity.spiffe_id import SpiffeId, SpiffeIdError
from mizzen.identity.workload_certificate import SignedCertificate, check_key, sign
from mizzen.server.one_request import RequestRefused, handler, read_request
from mizzen.signing import CREATE_CERTIFICATE, SERVICE, CertificateRequest, CertificateResponse
from mizzen.xds.refusal_log import RefusalLog

MAX_CSR: Final = 16384
LARGEST_RSA_KEY: Final = 4096
MOST_AT_ONCE: Final = 4
"""Most requests of one identity that are handled at the same time, so that none can block the others."""


@dataclass(frozen=True)
class CertificateService:
    """Answers CreateCertificate.

    `authenticate` returns the peer with its identity, or raises xds.PeerUnauthenticated. `lifetime` is the
    longest lifetime of a certificate. `signed` and `refused` are called for each answer, `note` with each
    certificate and the authority that signed it.
    """

    authority: Callable[[], Authority]
    authenticate: Callable[[xds.Peer], xds.Peer]
    trust_domains: Callable[[], tuple[str, ...]]
    lifetime: timedelta
    clock: Callable[[], datetime]
    signed: Callable[[], None] = lambda: None
    refused: Callable[[], None] = lambda: None
    note: Callable[[SignedCertificate, Authority], None] = lambda made, authority: None
    _refusals: RefusalLog = field(default_factory=RefusalLog, init=False, repr=False)
    _busy: Counter[SpiffeId] = field(default_factory=Counter, init=False, repr=False)

    def attach(self, grpc_server: Any) -> None:
        """Add the service to a `grpc.aio.Server`."""
        method = handler(self._serve, CertificateResponse.SerializeToString)
        grpc_server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {CREATE_CERTIFICATE: method}),)
        )

    async def _serve(self, context: Any) -> Any:
        peer = xds.peer_of(context)
        try:
            identity = self.caller(peer)
            chain = await self._created(identity, context)
        except RequestRefused as refusal:
            self.refused()
            self._refusals.say(time.monotonic(), peer.address, CREATE_CERTIFICATE, str(refusal))
            await context.abort(refusal.code, str(refusal))
        self.signed()
        log = structlog.get_logger("mizzen.certificates")
        log.info("a certificate was signed", identity=str(identity))
        return CertificateResponse(cert_chain=chain)

    async def _created(self, identity: SpiffeId, context: Any) -> list[str]:
        if self._busy[identity] >= MOST_AT_ONCE:
            raise RequestRefused(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{MOST_AT_ONCE} requests of this identity are worked on already; try again later",
            )
        self._busy[identity] += 1
        try:
            request: Any = await read_request(context, CertificateRequest.FromString)
            # In a thread: the computation for a hostile request must not delay the streams.
            return await asyncio.to_thread(self.create, identity, request.csr, request.validity_duration)
        finally:
            self._busy[identity] -= 1
            if not self._busy[identity]:
                del self._busy[identity]

    def caller(self, peer: xds.Peer) -> SpiffeId:
        """Return the identity that the caller has proved, with the mesh's own trust domain instead of an
        alias.

        Raises RequestRefused if the caller has proved none."""
        if not peer.tls:
            raise RequestRefused(grpc.StatusCode.UNAUTHENTICATED, "certificates are signed over TLS only")
        try:
            identity = SpiffeId.parse(self.authenticate(peer).identity)
        except (xds.PeerUnauthenticated, SpiffeIdError) as error:
            raise RequestRefused(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None
        own, *aliases = self.trust_domains()
        if identity.trust_domain not in (own, *aliases):
            raise RequestRefused(
                grpc.StatusCode.PERMISSION_DENIED,
                f"the trust domain {identity.trust_domain!r} is not one of this mesh",
            )
        # An agent renews by its certificate, and would otherwise keep the mesh's former trust domain for
        # ever.
        return replace(identity, trust_domain=own)

    def create(self, identity: SpiffeId, csr: str, seconds: int) -> list[str]:
        """Return the certificates in PEM, the leaf first and the roots last. `seconds` is the wanted
        lifetime; 0 stands for the longest.

        Raises RequestRefused for a request that cannot be signed.
        """
        public_key = _public_key(csr)
        if seconds < 0:
            raise _invalid("validity_duration is negative; give seconds, or 0 for the longest lifetime")
        wanted = self.lifetime if seconds == 0 or seconds > self.lifetime.total_seconds() else None
        authority = self.authority()
        try:
            made = sign(
                authority.issuer, public_key, identity, self.clock(), wanted or timedelta(seconds=seconds)
            )
        except ValueError as error:
            raise RequestRefused(grpc.StatusCode.UNAVAILABLE, str(error)) from None
        self.note(made, authority)
        chain = [pem([each]).decode() for each in x509.load_pem_x509_certificates(made.certificate_chain)]
        return [*chain, authority.roots_pem.decode()]


_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion)
_NO_REQUEST: Final = "csr is not a readable certificate signing request in PEM"


def _public_key(csr: str) -> Any:
    """Return the public key of a certificate signing request, after a check that its private key signed
    it."""
    if len(csr) > MAX_CSR:
        raise _invalid(f"csr has {len(csr)} characters; {MAX_CSR} are the most")
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        key = request.public_key()
    except _UNREADABLE:
        raise _invalid(_NO_REQUEST) from None
    # The key first: a signature check with a key of a wrong kind or size may take long.
    try:
        check_key(key)
    except ValueError as error:
        raise _invalid(f"csr: {error}") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size > LARGEST_RSA_KEY:
        raise _invalid(f"csr has an RSA key of {key.key_size} bits; {LARGEST_RSA_KEY} are the most")
    try:
        is_signed = request.is_signature_valid
    except _UNREADABLE:
        raise _invalid(_NO_REQUEST) from None
    if not is_signed:
        raise _invalid("the signature of csr is wrong; its key must sign it")
    return key


def _invalid(reason: str) -> RequestRefused:
    return RequestRefused(grpc.StatusCode.INVALID_ARGUMENT, reason)
