"""The peer at the other end of a stream, as the transport knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a stream. A client can put anything into its `Node`; the transport has checked this.

    Attributes:
        address: the peer's network address, in gRPC's form.
        tls: the connection is encrypted.
        certified: the peer has shown a certificate of an authority that the server trusts.
        uris: the URIs of that certificate, such as a SPIFFE ID.
        dns_names: the DNS names of that certificate.
        certificate: that certificate in PEM.
        authorization: the `authorization` header of the call, such as a bearer token; not part of the repr.
        identity: the peer's identity, set by the `authenticate` callback of the server.
        claims: other claims of the credentials.
        until: when the credentials expire, in seconds since 1970; the server then ends the stream. None: they
            do not expire.
    """

    address: str = ""
    tls: bool = False
    certified: bool = False
    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    certificate: bytes = field(default=b"", repr=False)
    authorization: str = field(default="", repr=False)
    identity: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    until: float | None = None


def peer_of(context: Any) -> Peer:
    """Return the peer of a call, from its `grpc.aio.ServicerContext`."""
    known: Mapping[str, Any] = context.auth_context()
    return Peer(
        context.peer(),
        b"ssl" in known.get("transport_security_type", ()),
        bool(known.get("x509_pem_cert")),
        _texts(known.get("peer_uri", ())),
        _texts(known.get("peer_dns", ())),
        next(iter(known.get("x509_pem_cert", ())), b""),
        _authorization(context),
    )


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(value.decode(errors="replace") for value in values)


def _authorization(context: Any) -> str:
    """Return the `authorization` header; empty if there are several, because none of them has precedence."""
    metadata = context.invocation_metadata() or ()
    found = [value for key, value in metadata if key == "authorization" and isinstance(value, str)]
    return found[0] if len(found) == 1 else ""
