"""Clusters and load assignments of one service, asked for in YAML and given back as plain data."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from google.protobuf import json_format

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config
from mizzen.config.kubernetes import Secret
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import DestinationRule
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.destination_rules import MergedDestinationRule, merge_rules
from mizzen.mesh.rules.peer_authentication import NO_PEERS, ServicePeers
from mizzen.mesh.service import Endpoint, EndpointPool, Protocol, Resolution, Service, ServicePort
from mizzen.mesh.settings import MeshSettings
from mizzen.translator.base.memo import Memo
from mizzen.translator.clusters.service_resources import ServiceResources, ServiceTranslator
from mizzen.xds.resource import Resource

HOST = "reviews.example"


class FirstLine:
    def line_of(self, path: Sequence[str | int]) -> int:
        return 1


def plain(resource: Resource) -> dict[str, Any]:
    """A Cluster or ClusterLoadAssignment as the YAML that Envoy would take."""
    message = (
        cluster_pb2.Cluster if resource.type_url.endswith(".Cluster") else endpoint_pb2.ClusterLoadAssignment
    )
    return json_format.MessageToDict(message.FromString(resource.value), preserving_proto_field_name=True)


def contains(actual: Any, expected: Any) -> bool:
    """Whether `expected` is a part of `actual`: mappings may have more keys, everything else is equal."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            key in actual and contains(actual[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(contains(mine, theirs) for mine, theirs in zip(actual, expected, strict=True))
        )
    return actual == expected


def endpoint(
    address: str, *, port: int = 8080, ports: Iterable[tuple[str, int]] = (), **more: Any
) -> Endpoint:
    labels = tuple(sorted(more.pop("labels", {}).items()))
    return Endpoint(address, tuple(ports) or (("http", port),), labels=labels, **more)


def service(resolution: str = "STATIC", protocol: str = "HTTP", **more: Any) -> Service:
    ports = more.pop("ports", (ServicePort("http", 80, Protocol(protocol)),))
    return Service(
        hostname=more.pop("hostname", HOST),
        namespace="default",
        name=HOST,
        ports=ports,
        resolution=Resolution(resolution),
        origins=(Origin("services.yaml", 3),),
        **more,
    )


@dataclass
class Scene:
    """A service, what is said about it, and who looks at it."""

    service: Service = field(default_factory=service)
    endpoints: Sequence[Endpoint] = ()
    profile: OutboundProfile = field(
        default_factory=lambda: OutboundProfile("sidecar", "default", "default.svc.cluster.local")
    )
    mesh: MeshConfig = field(default_factory=MeshConfig)
    rule: MergedDestinationRule | None = None

    def ruled(self, spec: str) -> Scene:
        """The same under a DestinationRule: its spec in YAML, but `host`."""
        content = {"host": HOST, **yaml.safe_load(spec)}
        config = Config(
            api_version="networking.istio.io/v1",
            kind="DestinationRule",
            namespace="default",
            name="reviews",
            spec=DestinationRule.model_validate(content),
            origin=Origin("rules.yaml", 7),
            lines=FirstLine(),
        )
        (rule,) = merge_rules(HOST, [config], MeshSettings(self.mesh))
        return replace(self, rule=rule)

    def meshed(self, text: str) -> Scene:
        return replace(self, mesh=MeshConfig.model_validate(yaml.safe_load(text)))

    def seen_by(self, **changes: Any) -> Scene:
        return replace(self, profile=replace(self.profile, **changes))

    @property
    def pool(self) -> EndpointPool:
        return EndpointPool(tuple(self.endpoints))

    def made(
        self,
        pool: EndpointPool | None = None,
        memo: Memo | None = None,
        *,
        peers: ServicePeers = NO_PEERS,
        sni_dnat: bool = False,
    ) -> ServiceResources:
        translator = ServiceTranslator(self.profile, self.mesh, Memo() if memo is None else memo)
        return translator.resources(self.service, self.rule, pool or self.pool, peers, sni_dnat=sni_dnat)

    def resources(self, **options: Any) -> tuple[Resource, ...]:
        return self.made(**options).all_clusters

    def clusters(self, **options: Any) -> dict[str, dict[str, Any]]:
        return {resource.name: plain(resource) for resource in self.resources(**options)}

    def cluster(self, subset: str = "", **options: Any) -> dict[str, Any]:
        port = self.service.ports[0].number
        return self.clusters(**options)[f"outbound|{port}|{subset}|{self.service.hostname}"]

    def raw_assignments(self, **options: Any) -> tuple[Resource, ...]:
        return self.made(**options).all_assignments

    def assignments(self, **options: Any) -> dict[str, dict[str, Any]]:
        return {resource.name: plain(resource) for resource in self.raw_assignments(**options)}

    def assignment(self, subset: str = "") -> dict[str, Any]:
        port = self.service.ports[0].number
        return self.assignments()[f"outbound|{port}|{subset}|{self.service.hostname}"]


def secret_document(name: str, data: Mapping[str, bytes]) -> Config[Secret]:
    encoded = {key: b64encode(value).decode() for key, value in data.items()}
    spec = Secret.model_validate({"data": encoded})
    return Config("v1", "Secret", "default", name, spec, Origin("secrets.yaml", 1), FirstLine())
