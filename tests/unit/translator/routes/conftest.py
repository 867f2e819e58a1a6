"""A mesh from YAML, and the route configurations that its proxies get, as plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2  # noqa: F401 - decodes typed_per_filter_config
from envoy.extensions.filters.http.fault.v3 import fault_pb2  # noqa: F401
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2  # noqa: F401
from envoy.extensions.retry.priority.previous_priorities.v3 import (
    previous_priorities_config_pb2,  # noqa: F401
)
from google.protobuf.json_format import MessageToDict

from mizzen.config import MeshConfig, parse_documents, to_config
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.port_routes import Routing
from mizzen.translator.routes.sidecar import (
    sidecar_route_configuration,
    sidecar_route_origins,
)
from mizzen.xds.resource import Resource
from tests.unit.translator.routes.followed import Followed


def plain(resource: Resource) -> dict[str, Any]:
    """Decode a RouteConfiguration to plain data with the names of the .proto files."""
    message = route_pb2.RouteConfiguration.FromString(resource.value)
    decoded: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return decoded


def configs(text: str) -> list[Any]:
    """Read documents; all of them must be valid."""
    parsed = parse_documents(textwrap.dedent(text).encode(), "mesh.yaml")
    assert not parsed.diagnostics, [str(found) for found in parsed.diagnostics]
    found = []
    for document in parsed.documents:
        config, diagnostics = to_config(document)
        assert config is not None, [str(each) for each in diagnostics]
        found.append(config)
    return found


@dataclass
class RoutedMesh:
    """A mesh, and what its proxies are sent."""

    mesh: Mesh
    mesh_config: MeshConfig
    memo: Memo = field(default_factory=Memo)
    followed: Followed = field(default_factory=Followed)

    def _proxy(self, kind: str, namespace: str, labels: dict[str, str], metadata: dict[str, Any]) -> Proxy:
        domain = f"{namespace}.svc.cluster.local"
        return Proxy.from_node(
            {
                "id": f"{kind}~10.9.9.9~client.{namespace}~{domain}",
                "metadata": {"NAMESPACE": namespace, "LABELS": labels, **metadata},
            }
        )

    def _sidecar(
        self, name: str, namespace: str, labels: dict[str, str], metadata: dict[str, Any]
    ) -> tuple[Any, ...]:
        proxy = self._proxy("sidecar", namespace, labels, metadata)
        scope, cached = self.followed.cached(self.mesh, self.mesh.outbound_profile(proxy), self.memo)
        if name.startswith("unix://"):
            listener = scope.egress_listener_for(0, name)
        else:
            number = name.rpartition(":")[2]
            listener = scope.egress_listener_for(int(number) if number.isdecimal() else 0)
        routing = Routing(scope, RouteSettings.of(self.mesh_config), self.memo)
        return (name, listener, routing, cached)

    def sidecar_resource(
        self,
        name: str,
        namespace: str = "default",
        labels: dict[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Resource:
        return sidecar_route_configuration(*self._sidecar(name, namespace, labels or {}, metadata or {}))

    def sidecar(self, name: str, **proxy: Any) -> dict[str, Any]:
        return plain(self.sidecar_resource(name, **proxy))

    def sidecar_origins(self, name: str) -> dict[str, Any]:
        return dict(sidecar_route_origins(*self._sidecar(name, "default", {}, {})))

    def gateway_resource(self, name: str, namespace: str = "edge", **labels: str) -> Resource:
        proxy = self._proxy("router", namespace, labels or {"app": "gateway"}, {})
        return self.followed.gateway(name, self.mesh, proxy, self.memo)

    def gateway(self, name: str, **labels: str) -> dict[str, Any]:
        return plain(self.gateway_resource(name, **labels))


@pytest.fixture(name="read")
def _read() -> Callable[[str], list[Any]]:
    """Return what reads valid documents from YAML."""
    return configs


@pytest.fixture(name="routed")
def _routed() -> Callable[..., RoutedMesh]:
    """Return what builds a mesh from YAML documents; keywords are fields of MeshConfig in YAML's names."""

    def build(text: str, **mesh_config: Any) -> RoutedMesh:
        config = MeshConfig.model_validate(mesh_config)
        return RoutedMesh(Mesh.build(configs(text), config), config)

    return build


@pytest.fixture(name="routes")
def _routes(routed: Callable[..., RoutedMesh]) -> Callable[..., list[dict[str, Any]]]:
    """Return what translates `spec.http` of a VirtualService of the service reviews on port 9080, to the
    routes of a sidecar in the namespace default; other documents may be added."""

    def build(
        http: str, documents: str = "", mesh_config: dict[str, Any] | None = None, **proxy: Any
    ) -> list[dict[str, Any]]:
        rules = yaml.load(textwrap.dedent(http), Loader=yaml.CSafeLoader)
        virtual_service = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "reviews", "namespace": "default"},
            "spec": {"hosts": ["reviews.example.com"], "http": rules},
        }
        text = "\n---\n".join(
            (
                SERVICE,
                textwrap.dedent(documents),
                yaml.dump(virtual_service, Dumper=yaml.CSafeDumper, sort_keys=False),
            )
        )
        (host,) = [
            host
            for host in routed(text, **(mesh_config or {})).sidecar("9080", **proxy)["virtual_hosts"]
            if host["name"] == "reviews.example.com:9080"
        ]
        found: list[dict[str, Any]] = host["routes"]
        return found

    return build


SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews.example.com]
  ports: [{number: 9080, name: http, protocol: HTTP}]
  resolution: STATIC
  location: MESH_INTERNAL
  endpoints: [{address: 10.0.0.1}]
"""
