"""Who is at the other end of a stream, as the transport knows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a stream. A node says what it likes of itself; this was checked by the transport.

    Attributes:
        address: its network address, in gRPC's form.
        tls: the connection is encrypted.
        certified: it showed a certificate of an authority that the server trusts.
        uris: the URIs of that certificate, such as a SPIFFE ID.
        dns_names: the DNS names of that certificate.
    """

    address: str = ""
    tls: bool = False
    certified: bool = False
    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()


def peer_of(context: Any) -> Peer:
    """Return the peer of a call: of its `grpc.aio.ServicerContext`."""
    known: Mapping[str, Any] = context.auth_context()
    return Peer(
        context.peer(),
        b"ssl" in known.get("transport_security_type", ()),
        bool(known.get("x509_pem_cert")),
        _texts(known.get("peer_uri", ())),
        _texts(known.get("peer_dns", ())),
    )


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(value.decode(errors="replace") for value in values)
