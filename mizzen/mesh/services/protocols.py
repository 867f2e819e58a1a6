"""The protocol of a port, from its name and `appProtocol`."""

from __future__ import annotations

from typing import Final

from mizzen.mesh.service import Protocol

_WELL_KNOWN_TCP: Final = frozenset({25, 53, 3306, 27017})
"""SMTP, DNS, MySQL and MongoDB: their servers speak first, so the protocol cannot be detected."""

_KUBERNETES_APP_PROTOCOLS: Final = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}


def kubernetes_protocol(number: int, name: str, transport: str, app_protocol: str) -> Protocol:
    """Return the protocol of a Kubernetes Service port: that of `appProtocol`, else that of the name up to
    its first `-`.

    https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/
    """
    if transport == "UDP":
        return Protocol.UDP
    if app_protocol in _KUBERNETES_APP_PROTOCOLS:
        return _KUBERNETES_APP_PROTOCOLS[app_protocol]
    text = (app_protocol or name).lower()
    if text.startswith("grpc-web"):
        return Protocol.GRPC_WEB
    protocol = Protocol.parse(text.partition("-")[0])
    if protocol.is_auto and number in _WELL_KNOWN_TCP:
        return Protocol.TCP
    return protocol
