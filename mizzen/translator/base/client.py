"""What clusters may depend on of the proxies that call by them."""

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
    """All that the clusters of a service may depend on of the proxies that call it, besides the endpoints
    that they are given. Compared by value: equal clients have the same clusters."""

    is_router: bool = False
    ip_family: IPFamily = "V4_ONLY"
    preserves_header_case: bool = False
    has_agent: bool = False
    files: CertificateFiles | None = None

    @classmethod
    def of(cls, profile: OutboundProfile, mesh_config: MeshConfig) -> Client:
        """Return what the proxies of a profile are; `mesh_config` holds where they bring no ProxyConfig."""
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
