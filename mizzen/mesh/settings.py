"""Settings that every part of the mesh reads, besides the documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mizzen.config.document import Config
from mizzen.config.mesh_config import MeshConfig

_AUTO_MTLS: Final = "enable_auto_mtls"

Creation = tuple[float, str, str]


def mesh_config_in_force(mesh_config: MeshConfig, *, certificates_served: bool) -> MeshConfig:
    """Return the mesh configuration in force. If the control plane issues certificates, the default of
    `enableAutoMtls` is true, as in Istio (docs/decisions/0100)."""
    if not certificates_served or _AUTO_MTLS in mesh_config.model_fields_set:
        return mesh_config
    return mesh_config.model_copy(update={_AUTO_MTLS: True})


@dataclass(frozen=True, slots=True, eq=False)
class MeshSettings:
    """The mesh configuration, the domain for short names (istiod's `--domain`), and whether the control plane
    issues the certificates of workloads."""

    mesh_config: MeshConfig
    domain: str = "cluster.local"
    certificates_served: bool = False

    @property
    def mutual_tls(self) -> bool:
        """True if workloads have certificates of the mesh, so that they can speak mutual TLS: the control
        plane issues them, or the mesh configuration relies on them (`enableAutoMtls`)."""
        return self.certificates_served or self.mesh_config.enable_auto_mtls

    @property
    def root_namespace(self) -> str:
        """The namespace whose rules apply to the whole mesh."""
        return self.mesh_config.root_namespace

    def network_of(self, address: str) -> str:
        """Return the network whose blocks (MeshNetworks, `fromCidr`) contain an address; empty for none."""
        return self.mesh_config.mesh_networks.table.network_of(address)

    def spiffe_identity(self, namespace: str, service_account: str) -> str:
        """Return the SPIFFE id of a service account."""
        return f"spiffe://{self.mesh_config.spiffe_trust_domains[0]}/ns/{namespace}/sa/{service_account}"


def creation_order(config: Config[Any]) -> Creation:
    """Return the sort key of rules, oldest first; ties by name, then namespace. Without a time: oldest."""
    created = config.creation_timestamp
    return (created.timestamp() if created is not None else 0.0, config.name, config.namespace)
