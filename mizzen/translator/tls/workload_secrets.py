"""The secrets of the mesh's own mutual TLS, as Envoy's messages: a workload's certificate, and the roots."""

from __future__ import annotations

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from mizzen.translator.tls.secret_names import TRUST_BUNDLE, WORKLOAD_CERTIFICATE
from mizzen.xds.resource import Resource


def workload_secret(certificate_chain: bytes, private_key: bytes) -> Resource:
    """Return the secret `default` (Istio's name) with a certificate chain and its key, both in PEM."""
    message = secret_pb2.Secret(name=WORKLOAD_CERTIFICATE)
    message.tls_certificate.certificate_chain.inline_bytes = certificate_chain
    message.tls_certificate.private_key.inline_bytes = private_key
    return Resource.of(message)


def trust_bundle(roots: bytes) -> Resource:
    """Return the secret `ROOTCA` (Istio's name) with the trusted roots, in PEM."""
    message = secret_pb2.Secret(name=TRUST_BUNDLE)
    message.validation_context.trusted_ca.inline_bytes = roots
    return Resource.of(message)
