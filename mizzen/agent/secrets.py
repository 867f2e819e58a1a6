"""The secrets that the agent serves to its Envoy, under Istio's names."""

from __future__ import annotations

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from mizzen import xds
from mizzen.agent.signing import AgentCertificate


def snapshot_of(certificate: AgentCertificate) -> xds.Snapshot:
    """Return the secrets `default` (certificate and key) and `ROOTCA` (the roots)."""
    own = secret_pb2.Secret(name="default")
    own.tls_certificate.certificate_chain.inline_bytes = certificate.chain
    own.tls_certificate.private_key.inline_bytes = certificate.private_key
    roots = secret_pb2.Secret(name="ROOTCA")
    roots.validation_context.trusted_ca.inline_bytes = certificate.roots
    return xds.Snapshot.of([xds.Resource.of(own), xds.Resource.of(roots)])
