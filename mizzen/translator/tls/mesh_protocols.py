"""The names by which the mesh's own mutual TLS is recognised in a handshake (ALPN).

Source: Istio's pilot/pkg/networking/util (ALPNInMesh and its kin).
"""

from __future__ import annotations

from typing import Final

MESH_HTTP_PROTOCOLS: Final = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
"""Offered by clients that send HTTP in it."""

MESH_TCP_PROTOCOLS: Final = ("istio-peer-exchange", "istio")
"""Offered by clients that do not say what they send."""

MESH_HTTP_OFFER: Final = "istio-http/1.1,istio"
"""What a client of stock Envoy offers where HTTP follows and the server has to be told. Both versions of HTTP
may follow: the server settles on neither name, and looks at the first bytes."""

OFFER_NAMESPACE: Final = "mizzen"
OFFER_KEY: Final = "alpn"
"""Where the metadata of a cluster has that offer."""

MESH_PROTOCOLS: Final = (*MESH_TCP_PROTOCOLS, *MESH_HTTP_PROTOCOLS)
