"""Certificates and CAs that are named in a way that is not served."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mizzen.config.document import FieldPath
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.findings import Findings
from mizzen.mesh.analysis.gateways import credential_names
from mizzen.mesh.analysis.mutual_tls import client_settings

_UNSERVED: Final = {"configmap": "a CA in a ConfigMap", "kubernetes-gateway": "a Secret of the Gateway API"}


def check_config_maps(mesh: AnalysedMesh, findings: Findings) -> None:
    """Find credentials that no proxy is sent (MZ0221), such as `configmap://ca`."""
    for gateway in mesh.configs("Gateway"):
        for index, server in enumerate(gateway.spec.servers):
            for field, name in credential_names(server):
                for text in _problem(name):
                    findings.warning("MZ0221", gateway, ("spec", "servers", index, *field), text)
    for rule in mesh.configs("DestinationRule"):
        for path, tls in client_settings(rule.spec):
            for text in _problem(tls.credential_name):
                findings.warning("MZ0221", rule, _credential(path), text)


def _credential(path: FieldPath) -> FieldPath:
    return (*path, "credentialName")


def _problem(name: str) -> Iterator[str]:
    what = _UNSERVED.get(name.partition("://")[0]) if "://" in name else None
    if what is not None:
        yield (
            f"{name} names {what}, which is not served, so connections that need it fail; put it into a "
            "Secret (a CA under ca.crt), and write the name of the Secret"
        )
