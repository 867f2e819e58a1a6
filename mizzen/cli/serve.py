"""`mizzen serve`: runs the control plane."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mizzen.cli import serve_options as option
from mizzen.cli.failure import Failure
from mizzen.cli.options import ConfigPaths, MeshConfigPath, MorePaths
from mizzen.cli.token_issuers import token_issuers

if TYPE_CHECKING:
    from mizzen.server.address import Address
    from mizzen.server.options import ServeOptions, TlsFiles

_SHORTEST_TTL = timedelta(seconds=3)
_LONGEST_TTL = timedelta(days=90)
"""Istio's own limit (MAX_WORKLOAD_CERT_TTL)."""


def serve(
    config: ConfigPaths,
    more: MorePaths = None,
    mesh_config: MeshConfigPath = None,
    grpc_address: option.GrpcAddress = "127.0.0.1:15010",
    admin_address: option.ServerAdminAddress = "127.0.0.1:15014",
    tls_address: option.TlsAddress = None,
    mutual_tls_address: option.MutualTlsAddress = None,
    tls_name: option.TlsNames = None,
    token_issuer: option.TokenIssuers = None,
    tls_cert: option.TlsCertificate = None,
    tls_key: option.TlsKey = None,
    tls_client_ca: option.TlsClientAuthority = None,
    domain: option.Domain = "cluster.local",
    state: option.State = None,
    ca: option.Authority = None,
    workload_certificate_ttl: option.WorkloadCertificateLifetime = "24h",
    start_anyway: option.StartAnyway = False,
    secrets_to_anyone: option.SecretsToAnyone = False,
    jwks_refresh: option.KeySetRefresh = 1200.0,
    admin_host: option.AdminHosts = None,
    log_format: option.LogFormatChoice = option.LogFormat.TEXT,
    log_level: option.LogLevelChoice = option.LogLevel.INFO,
) -> None:
    """Serve a configuration to Envoys, and push what changes as soon as a file is saved.

    No Envoy is served until all files can be read and are valid. Later, a document that becomes invalid is
    refused and reported, and its last valid version stays in force. Ends on SIGTERM or SIGINT.
    """
    from mizzen.server.options import ServeOptions

    if mutual_tls_address is not None and (tls_address is None or tls_cert is not None):
        raise Failure("--mutual-tls-address needs --tls-address, and no --tls-cert", exit_code=2)
    options = ServeOptions(
        paths=(*config, *(more or ())),
        mesh_config=mesh_config,
        grpc_address=_address(grpc_address, "--grpc-address"),
        admin_address=_address(admin_address, "--admin-address"),
        tls_address=_address(tls_address or "127.0.0.1:15012", "--tls-address"),
        own_tls=tls_cert is None and tls_address is not None,
        tls_names=tuple(tls_name or ()),
        mutual_tls_address=_address(mutual_tls_address, "--mutual-tls-address")
        if mutual_tls_address
        else None,
        token_issuers=token_issuers(token_issuer or ()),
        tls=_tls_files(tls_cert, tls_key, tls_client_ca),
        domain=domain,
        start_anyway=start_anyway,
        state=state,
        ca=ca,
        workload_certificate_ttl=_lifetime(workload_certificate_ttl),
        secrets_to_anyone=secrets_to_anyone,
        jwks_refresh_seconds=jwks_refresh,
        admin_hosts=tuple(admin_host or ()),
        log_format=log_format.value,
        log_level=log_level.value,
    )
    _run(options)


def _tls_files(certificate: Path | None, key: Path | None, client_authority: Path | None) -> TlsFiles | None:
    from mizzen.server.options import TlsFiles

    if (certificate is None) != (key is None):
        raise Failure("--tls-cert and --tls-key belong together; give both or neither", exit_code=2)
    if client_authority is not None and certificate is None:
        raise Failure("--tls-client-ca needs --tls-cert and --tls-key", exit_code=2)
    return TlsFiles(certificate, key, client_authority) if certificate and key else None


def _run(options: ServeOptions) -> None:
    from mizzen.identity.private_file import leave_no_core
    from mizzen.server.grpc_log import quieten

    leave_no_core()
    offers_tls = options.tls is not None or options.own_tls
    is_quiet = quieten(traces_handshakes=offers_tls)
    # This imports gRPC, which reads its log settings only once.
    from mizzen.server.process import StartError, run

    try:
        run(options, reads_grpc_log=is_quiet and offers_tls)
    except StartError as error:
        raise Failure(str(error)) from error


def _lifetime(text: str) -> timedelta:
    from mizzen.config.models.types import parse_duration

    try:
        lifetime = parse_duration(text)
    except ValueError as error:
        raise Failure(f"--workload-certificate-ttl {text}: {error}", exit_code=2) from error
    if not _SHORTEST_TTL <= lifetime <= _LONGEST_TTL:
        raise Failure(
            f"--workload-certificate-ttl {text}: is out of range; give 3s to 2160h, such as 24h", exit_code=2
        )
    return lifetime


def _address(text: str, option: str) -> Address:
    from mizzen.server.address import Address

    try:
        return Address.parse(text)
    except ValueError as error:
        raise Failure(f"{option}: {error}", exit_code=2) from error
