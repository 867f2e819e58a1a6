"""The parts of a proxy that its clusters may depend on."""

from __future__ import annotations

from typing import NamedTuple

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.profile import IPFamily, OutboundProfile
from mizzen.translator.base.proxy_settings import preserves_header_case


class CertificateFiles(NamedTuple):
    """The certificate that a proxy's own metadata names (TLS_CLIENT_CERT_CHAIN and its kin)."""

    chain: str
    key: str
    roots: str


class Client(NamedTuple):
    """The parts of a proxy that its clusters of a service may depend on, apart from endpoints (Viewpoint).

    Compared by value: proxies with equal clients get the same clusters.
    """

    is_router: bool = False
    ip_family: IPFamily = "V4_ONLY"
    preserves_header_case: bool = False
    has_agent: bool = False
    files: CertificateFiles | None = None

    @classmethod
    def of(cls, profile: OutboundProfile, mesh_config: MeshConfig) -> Client:
        """Return the client of a profile's proxies; `mesh_config` applies if they send no ProxyConfig."""
        files = CertificateFiles(
            profile.tls_client_cert_chain, profile.tls_client_key, profile.tls_client_root_cert
        )
        return cls(
            profile.is_router,
            profile.ip_family,
            preserves_header_case(profile.proxy_config or mesh_config.default_config),
            profile.has_agent,
            files if files.chain else None,
        )
