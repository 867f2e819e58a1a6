"""The ALPN names that mark the mesh's own mutual TLS in a handshake.

Source: Istio's pilot/pkg/networking/util (ALPNInMesh and its kin).
"""

from __future__ import annotations

from typing import Final

MESH_HTTP_PROTOCOLS: Final = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
"""Offered by clients that send HTTP."""

MESH_TCP_PROTOCOLS: Final = ("istio-peer-exchange", "istio")
"""Offered by clients that do not declare their protocol."""

MESH_HTTP_OFFER: Final = "istio-http/1.1,istio"
"""The offer of a stock Envoy client that sends HTTP to a server which detects protocols. It fits HTTP/1.1 and
HTTP/2: the server agrees to neither name, and detects the version by the first bytes."""

OFFER_NAMESPACE: Final = "mizzen"
OFFER_KEY: Final = "alpn"
"""The namespace and key of that offer in the metadata of a cluster."""

MESH_PROTOCOLS: Final = (*MESH_TCP_PROTOCOLS, *MESH_HTTP_PROTOCOLS)
