"""`mizzen serve`: runs the control plane."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mizzen.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mizzen.mesh.rules.token_keys import KeySource
    from mizzen.server.address import Address


_SHORTEST_TTL = timedelta(seconds=3)
_LONGEST_TTL = timedelta(days=90)
"""Istio's own limit (MAX_WORKLOAD_CERT_TTL)."""
_ISSUER_BY_URI = re.compile(r"(.+?)=(https?://.*)")
"""ISSUER=URL. The issuer is often a URI itself, and the URL of its keys may have more equals signs."""


class LogFormat(StrEnum):
    """The form of log lines."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least severe messages that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    config: Annotated[
        list[Path],
        typer.Option("--config", help="A file or folder; may be repeated.", metavar="PATH"),
    ],
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    mesh_config: Annotated[
        Path | None, typer.Option("--mesh-config", help="A file with Istio's MeshConfig.", metavar="FILE")
    ] = None,
    grpc_address: Annotated[
        str, typer.Option("--grpc-address", help="Where Envoys connect, in plain text.", metavar="HOST:PORT")
    ] = "127.0.0.1:15010",
    admin_address: Annotated[
        str, typer.Option("--admin-address", help="Status and metrics, over HTTP.", metavar="HOST:PORT")
    ] = "127.0.0.1:15014",
    tls_address: Annotated[
        str | None,
        typer.Option(
            "--tls-address",
            help="Where Envoys connect, over TLS: with a token, unless --tls-cert is given. "
            "[default: with --tls-cert 127.0.0.1:15012]",
            metavar="HOST:PORT",
            show_default=False,
        ),
    ] = None,
    mutual_tls_address: Annotated[
        str | None,
        typer.Option(
            "--mutual-tls-address",
            help="Where Envoys with a certificate of the mesh connect. [default: port after --tls-address]",
            metavar="HOST:PORT",
            show_default=False,
        ),
    ] = None,
    tls_name: Annotated[
        list[str] | None,
        typer.Option("--tls-name", help="A further name in the server's own certificate.", metavar="NAME"),
    ] = None,
    token_issuer: Annotated[
        list[str] | None,
        typer.Option(
            "--token-issuer",
            help="Accept the tokens of this issuer, signed by a key of this JSON Web Key Set.",
            metavar="ISSUER=FILE|URL",
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option("--tls-cert", help="Certificate; opens the TLS address.", metavar="FILE"),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its key.", metavar="FILE")] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option("--tls-client-ca", help="Demand client certificates of this authority.", metavar="FILE"),
    ] = None,
    domain: Annotated[
        str, typer.Option("--domain", help="The DNS domain of Kubernetes services.")
    ] = "cluster.local",
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", help="Keep the last valid version of every document in this folder.", metavar="DIR"
        ),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            help="Issue workload certificates with the authority in this folder (Istio's file names).",
            metavar="DIR",
        ),
    ] = None,
    workload_certificate_ttl: Annotated[
        str,
        typer.Option(
            "--workload-certificate-ttl", help="How long a workload certificate holds.", metavar="DURATION"
        ),
    ] = "24h",
    start_anyway: Annotated[
        bool,
        typer.Option(
            "--start-anyway",
            help="Serve valid documents at once; Envoys lose what invalid ones gave them.",
        ),
    ] = False,
    secrets_to_anyone: Annotated[
        bool,
        typer.Option(
            "--secrets-to-anyone",
            help="Send Secrets to proxies without certificates, on addresses that are not loopback too.",
        ),
    ] = False,
    jwks_refresh: Annotated[
        float,
        typer.Option(
            "--jwks-refresh", min=1.0, help="How often to fetch the keys of token issuers.", metavar="SECONDS"
        ),
    ] = 1200.0,
    admin_host: Annotated[
        list[str] | None,
        typer.Option("--admin-host", help="A further name of the admin address.", metavar="NAME"),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="Form of log lines.")
    ] = LogFormat.TEXT,
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", help="The least severe level to log.")
    ] = LogLevel.INFO,
) -> None:
    """Serve a configuration to Envoys, and push what changes as soon as a file is saved.

    No Envoy is served until all files can be read and are valid. Later, a document that becomes invalid is
    refused and reported, and its last valid version stays in force. Ends on SIGTERM or SIGINT.
    """
    from mizzen.identity.private_file import leave_no_core
    from mizzen.server.grpc_log import quieten
    from mizzen.server.options import ServeOptions, TlsFiles

    if (tls_cert is None) != (tls_key is None):
        raise Failure("--tls-cert and --tls-key belong together; give both or neither", exit_code=2)
    if tls_client_ca is not None and tls_cert is None:
        raise Failure("--tls-client-ca needs --tls-cert and --tls-key", exit_code=2)
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
        token_issuers=_issuers(token_issuer or ()),
        tls=TlsFiles(tls_cert, tls_key, tls_client_ca) if tls_cert and tls_key else None,
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


def _issuers(texts: Iterable[str]) -> tuple[tuple[str, Path | KeySource], ...]:
    from mizzen.identity.token import ISSUER

    found: dict[str, Path | KeySource] = {}
    for text in texts:
        issuer, keys = _issuer(text)
        if issuer == ISSUER:
            raise Failure(f"--token-issuer {text}: {ISSUER} is this control plane itself", exit_code=2)
        if issuer in found:
            raise Failure(f"--token-issuer {text}: {issuer} is named already", exit_code=2)
        found[issuer] = keys
    return tuple(found.items())


def _issuer(text: str) -> tuple[str, Path | KeySource]:
    from urllib.parse import urlsplit

    from mizzen.config.validation.request_authentication import key_uri_problem
    from mizzen.mesh.rules.token_keys import KeySource
    from mizzen.server.address import Address

    by_uri = _ISSUER_BY_URI.fullmatch(text)
    if by_uri is None:
        issuer, found, file = text.rpartition("=")
        if not found or not issuer or not file:
            raise Failure(f"--token-issuer {text}: write ISSUER=FILE or ISSUER=URL", exit_code=2)
        return issuer, Path(file)
    issuer, uri = by_uri.groups()
    if problem := key_uri_problem(uri):
        raise Failure(f"--token-issuer {issuer}: {problem}", exit_code=2)
    parts = urlsplit(uri)
    if parts.scheme == "http" and not Address(parts.hostname or "", 0).is_loopback:
        raise Failure(
            f"--token-issuer {issuer}: whoever is on the way could change the keys; write https://",
            exit_code=2,
        )
    return issuer, KeySource(uri)


def _address(text: str, option: str) -> Address:
    from mizzen.server.address import Address

    try:
        return Address.parse(text)
    except ValueError as error:
        raise Failure(f"{option}: {error}", exit_code=2) from error
