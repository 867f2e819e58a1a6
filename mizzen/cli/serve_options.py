"""The options of `mizzen serve`, by what they are about."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# Where clients connect.

GrpcAddress = Annotated[
    str, typer.Option("--grpc-address", help="Where Envoys connect, in plain text.", metavar="HOST:PORT")
]
TlsAddress = Annotated[
    str | None,
    typer.Option(
        "--tls-address",
        help="Where Envoys connect, over TLS: with a token, unless --tls-cert is given. "
        "[default: with --tls-cert 127.0.0.1:15012]",
        metavar="HOST:PORT",
        show_default=False,
    ),
]
MutualTlsAddress = Annotated[
    str | None,
    typer.Option(
        "--mutual-tls-address",
        help="Where Envoys with a certificate of the mesh connect. [default: port after --tls-address]",
        metavar="HOST:PORT",
        show_default=False,
    ),
]
ServerAdminAddress = Annotated[
    str, typer.Option("--admin-address", help="Status and metrics, over HTTP.", metavar="HOST:PORT")
]
AdminHosts = Annotated[
    list[str] | None,
    typer.Option("--admin-host", help="A further name of the admin address.", metavar="NAME"),
]

# Who the server is, and which clients it believes.

TlsNames = Annotated[
    list[str] | None,
    typer.Option("--tls-name", help="A further name in the server's own certificate.", metavar="NAME"),
]
TlsCertificate = Annotated[
    Path | None, typer.Option("--tls-cert", help="Certificate; opens the TLS address.", metavar="FILE")
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Its key.", metavar="FILE")]
TlsClientAuthority = Annotated[
    Path | None,
    typer.Option("--tls-client-ca", help="Demand client certificates of this authority.", metavar="FILE"),
]
TokenIssuers = Annotated[
    list[str] | None,
    typer.Option(
        "--token-issuer",
        help="Accept the tokens of this issuer, signed by a key of this JSON Web Key Set.",
        metavar="ISSUER=FILE|URL",
    ),
]
SecretsToAnyone = Annotated[
    bool,
    typer.Option(
        "--secrets-to-anyone",
        help="Send Secrets to proxies without certificates, on addresses that are not loopback too.",
    ),
]

# What is served.

Domain = Annotated[str, typer.Option("--domain", help="The DNS domain of Kubernetes services.")]
State = Annotated[
    Path | None,
    typer.Option(
        "--state", help="Keep the last valid version of every document in this folder.", metavar="DIR"
    ),
]
StartAnyway = Annotated[
    bool,
    typer.Option(
        "--start-anyway", help="Serve valid documents at once; Envoys lose what invalid ones gave them."
    ),
]
Authority = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        help="Issue workload certificates with the authority in this folder (Istio's file names).",
        metavar="DIR",
    ),
]
WorkloadCertificateLifetime = Annotated[
    str,
    typer.Option(
        "--workload-certificate-ttl", help="How long a workload certificate holds.", metavar="DURATION"
    ),
]
KeySetRefresh = Annotated[
    float,
    typer.Option(
        "--jwks-refresh", min=1.0, help="How often to fetch the keys of token issuers.", metavar="SECONDS"
    ),
]

# What it says.


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


LogFormatChoice = Annotated[LogFormat, typer.Option("--log-format", help="Form of log lines.")]
LogLevelChoice = Annotated[LogLevel, typer.Option("--log-level", help="The least severe level to log.")]
