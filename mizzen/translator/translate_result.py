"""The result of a translation for people: Envoy's messages, sorted, instead of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from mizzen.config.diagnostics import Diagnostic
from mizzen.translator.redaction import readable

MESSAGES: Mapping[str, Any] = {
    "clusters": cluster_pb2.Cluster,
    "endpoints": endpoint_pb2.ClusterLoadAssignment,
    "listeners": listener_pb2.Listener,
    "routes": route_pb2.RouteConfiguration,
    "secrets": secret_pb2.Secret,
}
"""The Envoy message of each of the five kinds of resources, by the name that users see."""

TYPE_URLS: Mapping[str, str] = {
    kind: f"type.googleapis.com/{message.DESCRIPTOR.full_name}" for kind, message in MESSAGES.items()
}
"""The xDS type URL of each kind."""


class Encoded(Protocol):
    """A resource of the xDS library; only its bytes matter here."""

    @property
    def value(self) -> bytes:
        """The serialised message."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that one proxy is sent: Envoy's messages, each list sorted by the resources' names.

    `diagnostics` lists what could not be translated as written.
    """

    clusters: list[Any] = field(default_factory=list)
    endpoints: list[Any] = field(default_factory=list)
    listeners: list[Any] = field(default_factory=list)
    routes: list[Any] = field(default_factory=list)
    secrets: list[Any] = field(default_factory=list)
    diagnostics: tuple[Diagnostic, ...] = ()

    @classmethod
    def decoded(
        cls, resources: Mapping[str, Mapping[str, Encoded]], diagnostics: Iterable[Diagnostic] = ()
    ) -> Resources:
        """Decode resources of the xDS library: type URL -> name -> resource."""
        lists: dict[str, list[Any]] = {}
        for kind, message in MESSAGES.items():
            held = resources.get(TYPE_URLS[kind], {})
            lists[kind] = [message.FromString(held[name].value) for name in sorted(held)]
        return cls(**lists, diagnostics=tuple(diagnostics))

    def as_dict(self, *, show_secrets: bool = False) -> dict[str, list[dict[str, Any]]]:
        """Return the five lists as plain values for JSON or YAML, under protobuf's field names.

        Private keys and other secrets read `[redacted]` unless `show_secrets`.
        """
        return {
            kind: [readable(message, show_secrets=show_secrets) for message in getattr(self, kind)]
            for kind in MESSAGES
        }
