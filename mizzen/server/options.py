"""The options of a server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from mizzen.identity.workload_certificate import LIFETIME
from mizzen.mesh.rules.token_keys import KeySource
from mizzen.server.address import Address

GRPC_ADDRESS = Address("127.0.0.1", 15010)
TLS_ADDRESS = Address("127.0.0.1", 15012)
ADMIN_ADDRESS = Address("127.0.0.1", 15014)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of the TLS address: with `client_ca` clients must show a certificate of that authority."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """All options of `mizzen serve`; the defaults are those of the command line."""

    paths: tuple[Path, ...]
    mesh_config: Path | None = None
    grpc_address: Address = GRPC_ADDRESS
    admin_address: Address = ADMIN_ADDRESS
    tls_address: Address = TLS_ADDRESS
    tls: TlsFiles | None = None
    own_tls: bool = False
    tls_names: tuple[str, ...] = ()
    mutual_tls_address: Address | None = None
    token_issuers: tuple[tuple[str, Path | KeySource], ...] = ()
    domain: str = "cluster.local"
    start_anyway: bool = False
    state: Path | None = None
    ca: Path | None = None
    workload_certificate_ttl: timedelta = LIFETIME
    secrets_to_anyone: bool = False
    jwks_refresh_seconds: float = 1200.0
    admin_hosts: tuple[str, ...] = ()
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    drain_seconds: float = 5.0

    @property
    def certificates_served(self) -> bool:
        """True if proxies get certificates: the options name a folder for the key of an authority."""
        return self.state is not None or self.ca is not None
