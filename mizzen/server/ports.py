"""The ports: the admin address; and gRPC in plain text, over TLS, and over TLS with client certificates.

gRPC in Python demands a certificate from every client of a port or from none, so clients with certificates
have a separate port (docs/decisions/0094).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

from mizzen import xds
from mizzen.identity.authority import Authority
from mizzen.identity.token import TokenKeyError, open_or_create_key, own_keys
from mizzen.mesh.rules.token_keys import KeySource
from mizzen.server.address import Address
from mizzen.server.authentication import Authenticator
from mizzen.server.certificate_service import CertificateService
from mizzen.server.listening import ListenError, listen, other_server
from mizzen.server.metrics import Metrics
from mizzen.server.options import ADMIN_ADDRESS, ServeOptions
from mizzen.server.own_certificate import OwnCertificate
from mizzen.server.tls_files import TlsFileError, server_credentials
from mizzen.server.token_issuers import FetchedIssuerKeys, FileKeys
from mizzen.server.token_service import TokenService
from mizzen.server.workload_certificates import WorkloadCertificates, now_utc


class PortError(Exception):
    """A port cannot be opened; the message says why, and what to do."""


def take_port(address: Address, option: str, options: ServeOptions) -> socket.socket:
    """Return a socket that listens at the address that `option` names. Raises PortError."""
    try:
        return listen(address, option)
    except ListenError as error:
        raise PortError(f"{error}{_who_is_there(address, options)}") from error


def add_grpc_ports(
    grpc_server: Any, options: ServeOptions, certificates: WorkloadCertificates | None
) -> list[str]:
    """Make a gRPC server listen at its addresses; return these with the actual ports. Raises PortError."""
    return [
        str(address.with_port(_add_port(grpc_server, address, option, credentials, options)))
        for address, option, credentials in _ports(options, certificates)
    ]


def _add_port(
    grpc_server: Any, address: Address, option: str, credentials: Any, options: ServeOptions
) -> int:
    if address.port:
        take_port(address, option, options).close()  # gRPC does not say why it cannot listen
    try:
        if credentials is None:
            return int(grpc_server.add_insecure_port(str(address)))
        return int(grpc_server.add_secure_port(str(address), credentials))
    except RuntimeError as error:
        raise PortError(f"{option} {address}: cannot listen ({error})") from error


def _ports(
    options: ServeOptions, certificates: WorkloadCertificates | None
) -> Iterable[tuple[Address, str, Any]]:
    """Yield the addresses to listen on, each with its option and gRPC's credentials (None: plain text).
    Raises PortError."""
    yield options.grpc_address, "--grpc-address", None
    try:
        if options.tls is not None:
            yield options.tls_address, "--tls-address", server_credentials(options.tls)
        elif options.own_tls:
            if certificates is None:
                raise PortError(
                    "--tls-address needs a certificate: give --state or --ca, whose authority issues one, or "
                    "--tls-cert and --tls-key"
                )
            mutual = options.mutual_tls_address or options.tls_address.with_port(
                options.tls_address.port and options.tls_address.port + 1
            )
            hosts = [each.host for each in (options.tls_address, mutual) if not each.is_every_interface]
            own = OwnCertificate(lambda: certificates.authority, (*options.tls_names, *hosts), now_utc)
            yield options.tls_address, "--tls-address", own.credentials(demands_certificates=False)
            yield mutual, "--mutual-tls-address", own.credentials(demands_certificates=True)
    except (TlsFileError, ValueError) as error:
        raise PortError(str(error)) from error


def _who_is_there(address: Address, options: ServeOptions) -> str:
    """Return text that says which Mizzen uses `address`; empty if none is found at the usual admin
    addresses."""
    about = other_server(options.admin_address)
    if about is None:
        about = other_server(ADMIN_ADDRESS)
    taken = [*about.get("grpc_addresses", ()), about.get("admin_address")] if about else []
    if about and any(str(each).endswith(f":{address.port}") for each in taken):
        return f": a Mizzen {about['version']} serves there (process {about['pid']})"
    return ""


def authenticator(
    options: ServeOptions,
    metrics: Metrics,
    trust_domain: Callable[[], str],
    refused: Callable[[str], None],
    fetched: Callable[[KeySource], str],
) -> Authenticator:
    """Return the authenticator. `fetched` returns the key set that was last fetched from a source.

    Raises PortError if a token key cannot be used."""

    def count(reason: str) -> None:
        metrics.unauthenticated.inc()
        refused(reason)

    try:
        own = own_keys(open_or_create_key(options.state)) if options.state is not None else {}
        issuers = {
            issuer: FetchedIssuerKeys(keys, fetched) if isinstance(keys, KeySource) else FileKeys(keys)
            for issuer, keys in options.token_issuers
        }
        return Authenticator(own, issuers, trust_domain, demands=options.own_tls, refused=count)
    except TokenKeyError as error:
        raise PortError(str(error)) from error


def attach_signing(
    grpc_server: Any,
    options: ServeOptions,
    certificates: WorkloadCertificates,
    metrics: Metrics,
    authenticate: Callable[[xds.Peer], xds.Peer],
    trust_domains: Callable[[], tuple[str, ...]],
) -> None:
    """Add the services for proxies that keep their private keys: one signs certificates; with a state
    directory, a second one signs tokens. Raises TokenKeyError if the key for tokens cannot be used."""

    def authority() -> Authority:
        return certificates.authority

    signing = CertificateService(
        authority,
        authenticate,
        trust_domains,
        options.workload_certificate_ttl,
        now_utc,
        metrics.certificates_signed.inc,
        metrics.signings_refused.inc,
        certificates.note_signed,
    )
    signing.attach(grpc_server)
    if options.state is not None:
        tokens = TokenService(
            open_or_create_key(options.state),
            signing.caller,
            options.workload_certificate_ttl,
            now_utc,
            metrics.tokens_signed.inc,
            metrics.signings_refused.inc,
        )
        tokens.attach(grpc_server)


def warn_of_open_addresses(options: ServeOptions, log: Any) -> None:
    """Log warnings about data that anyone can read who reaches the addresses."""
    keys = ", private keys of gateways included" if options.secrets_to_anyone else ""
    if not options.grpc_address.is_loopback:
        log.warning(
            f"ANYONE who reaches this address is sent the whole mesh in plain text{keys}; keep it within "
            "a trusted network, or let proxies come to --tls-address",
            address=str(options.grpc_address),
        )
    if not options.admin_address.is_loopback:
        log.warning(
            "ANYONE who reaches the admin address can read the status and the configuration of the mesh",
            address=str(options.admin_address),
        )
    if options.tls is not None and options.tls.client_ca is None and not options.tls_address.is_loopback:
        log.warning(
            "the TLS address asks for no client certificate: ANYONE who reaches it is sent the whole "
            f"mesh{keys}; use --tls-client-ca",
            address=str(options.tls_address),
        )
