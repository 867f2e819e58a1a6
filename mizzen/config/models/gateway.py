"""Gateway: the servers of a proxy at the edge of the mesh.

https://istio.io/latest/docs/reference/config/networking/gateway/
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mizzen.config.models.base import IstioModel
from mizzen.config.models.host import NamespacedHost
from mizzen.config.models.types import Bool, Deprecated, IstioEnum, UInt32


class Port(IstioModel):
    """A port that a gateway listens on."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: Annotated[UInt32, Deprecated("leave it out")] = 0


class ServerTLSMode(IstioEnum):
    """How a server treats TLS (`ServerTLSSettings.TLSmode`)."""

    PASSTHROUGH = "PASSTHROUGH"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    AUTO_PASSTHROUGH = "AUTO_PASSTHROUGH"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"
    OPTIONAL_MUTUAL = "OPTIONAL_MUTUAL"


class TLSProtocol(IstioEnum):
    """A version of TLS (`ServerTLSSettings.TLSProtocol`)."""

    TLS_AUTO = "TLS_AUTO"
    TLSV1_0 = "TLSV1_0"
    TLSV1_1 = "TLSV1_1"
    TLSV1_2 = "TLSV1_2"
    TLSV1_3 = "TLSV1_3"


class TLSCertificate(IstioModel):
    """Paths of one certificate's files (`ServerTLSSettings.TLSCertificate`)."""

    server_certificate: str = ""
    private_key: str = Field(default="", repr=False)
    ca_certificates: str = ""


class ServerTLSSettings(IstioModel):
    """How a server identifies itself, and what it requires of its clients."""

    https_redirect: Bool = False
    mode: ServerTLSMode = ServerTLSMode.PASSTHROUGH
    server_certificate: str = ""
    private_key: str = Field(default="", repr=False)
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    credential_names: tuple[str, ...] = ()
    ca_cert_credential_name: str = ""
    tls_certificates: tuple[TLSCertificate, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    verify_certificate_hash: tuple[str, ...] = ()
    min_protocol_version: TLSProtocol = TLSProtocol.TLS_AUTO
    max_protocol_version: TLSProtocol = TLSProtocol.TLS_AUTO
    cipher_suites: tuple[str, ...] = ()
    insecure_skip_verify: Bool | None = None


class Server(IstioModel):
    """One port of a gateway, and the hosts that are served on it."""

    port: Port | None = None
    bind: str = ""
    hosts: tuple[NamespacedHost, ...] = ()
    tls: ServerTLSSettings | None = None
    default_endpoint: str = ""
    name: str = ""


class Gateway(IstioModel):
    """Servers, and the labels of the workloads that run them (`selector` empty: all of them)."""

    servers: tuple[Server, ...] = ()
    selector: dict[str, str] = Field(default_factory=dict)
