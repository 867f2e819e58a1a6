"""Checks for documents that need certificates of the mesh while nothing issues them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from mizzen.config import models
from mizzen.config.document import Config, FieldPath
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics

_ISSUE: Final = "let the control plane issue certificates, by --state or --ca"


def check_peer_authentication(
    mesh: AnalysedMesh, policy: Config[models.PeerAuthentication], diagnostics: Diagnostics
) -> None:
    """Find mode STRICT in a PeerAuthentication (MZ0220)."""
    if mesh.settings.mutual_tls:
        return
    for path, mtls in _server_settings(policy.spec):
        if mtls.mode is models.MutualTLSMode.STRICT:
            diagnostics.warning(
                "MZ0220",
                policy,
                (*path, "mode"),
                "STRICT refuses plain text, and workloads get no certificates for mutual TLS, so all "
                f"calls to them fail; {_ISSUE}, or write PERMISSIVE",
            )


def check_mutual_tls_of_rule(
    mesh: AnalysedMesh,
    rule: Config[models.DestinationRule],
    settings: Iterable[tuple[FieldPath, models.ClientTLSSettings]],
    diagnostics: Diagnostics,
) -> None:
    """Find mode ISTIO_MUTUAL in the TLS settings of a DestinationRule (MZ0213).

    A proxy whose own metadata names certificate files has a certificate all the same, for outgoing calls.
    """
    if mesh.settings.mutual_tls:
        return
    for path, tls in settings:
        if tls.mode is models.ClientTLSMode.ISTIO_MUTUAL:
            diagnostics.warning(
                "MZ0213",
                rule,
                (*path, "mode"),
                "ISTIO_MUTUAL uses certificates of workloads, which are not issued: calls fail (503), "
                "but from proxies whose metadata name files in TLS_CLIENT_CERT_CHAIN, TLS_CLIENT_KEY and "
                f"TLS_CLIENT_ROOT_CERT; {_ISSUE}, or write MUTUAL with your own files",
            )


def check_mutual_tls_of_gateway(
    mesh: AnalysedMesh, gateway: Config[models.Gateway], diagnostics: Diagnostics
) -> None:
    """Find mode ISTIO_MUTUAL in the servers of a Gateway (MZ0213)."""
    if mesh.settings.mutual_tls:
        return
    for index, server in enumerate(gateway.spec.servers):
        if server.tls is not None and server.tls.mode is models.ServerTLSMode.ISTIO_MUTUAL:
            diagnostics.warning(
                "MZ0213",
                gateway,
                ("spec", "servers", index, "tls", "mode"),
                "ISTIO_MUTUAL uses a certificate of the gateway's workload, which is not issued: "
                f"connections fail; {_ISSUE}, or write MUTUAL with a credentialName",
            )


def _server_settings(policy: models.PeerAuthentication) -> Iterator[tuple[FieldPath, models.MutualTLS]]:
    if policy.mtls is not None:
        yield ("spec", "mtls"), policy.mtls
    for number, mtls in policy.port_level_mtls.items():
        yield ("spec", "portLevelMtls", str(number)), mtls
