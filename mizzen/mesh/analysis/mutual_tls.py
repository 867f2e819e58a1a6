"""Where the mesh's own certificates are asked for: nothing issues them yet."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.config import models
from mizzen.config.document import FieldPath
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.snapshot import Mesh


def check_mutual_tls(mesh: Mesh, findings: Findings) -> None:
    """Find TLS settings of the mode ISTIO_MUTUAL (MZ0213).

    Under Istio the authority of the mesh issues the certificate of each workload. Here only a proxy whose own
    metadata name files has one.
    """
    for rule in mesh.configs("DestinationRule"):
        for path, tls in _client_settings(rule.spec):
            if tls.mode is models.ClientTLSMode.ISTIO_MUTUAL:
                findings.warning(
                    "MZ0213",
                    rule,
                    (*path, "mode"),
                    "ISTIO_MUTUAL uses certificates of workloads, which are not issued yet: calls fail "
                    "(503), but from proxies whose metadata name files in TLS_CLIENT_CERT_CHAIN, "
                    "TLS_CLIENT_KEY and TLS_CLIENT_ROOT_CERT; write DISABLE, or MUTUAL with your own files",
                )
    for gateway in mesh.configs("Gateway"):
        for index, server in enumerate(gateway.spec.servers):
            if server.tls is not None and server.tls.mode is models.ServerTLSMode.ISTIO_MUTUAL:
                findings.warning(
                    "MZ0213",
                    gateway,
                    ("spec", "servers", index, "tls", "mode"),
                    "ISTIO_MUTUAL uses a certificate of the gateway's workload, which is not issued yet: "
                    "connections fail; write MUTUAL with a credentialName or certificates of your own",
                )


def _client_settings(rule: models.DestinationRule) -> Iterator[tuple[FieldPath, models.ClientTLSSettings]]:
    policies: list[tuple[FieldPath, models.TrafficPolicy | None]] = [
        (("spec", "trafficPolicy"), rule.traffic_policy)
    ]
    for index, subset in enumerate(rule.subsets):
        policies.append((("spec", "subsets", index, "trafficPolicy"), subset.traffic_policy))
    for path, policy in policies:
        if policy is None:
            continue
        if policy.tls is not None:
            yield (*path, "tls"), policy.tls
        for index, port in enumerate(policy.port_level_settings):
            if port.tls is not None:
                yield (*path, "portLevelSettings", index, "tls"), port.tls
