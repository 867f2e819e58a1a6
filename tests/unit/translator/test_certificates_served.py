"""Mutual TLS where the control plane issues certificates, and for proxies that it gives none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest
import yaml

import mizzen
from mizzen.config import parse_documents, to_config
from mizzen.config.document import Config, ConfigKey
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation

SERVICES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.0.0.7, serviceAccount: reviews}]
"""
STRICT = """
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: STRICT}}
"""
PASSING = """
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: east-west, namespace: default}
spec:
  selector: {app: reviews}
  servers:
  - port: {number: 15443, name: tls, protocol: TLS}
    hosts: ["*.local"]
    tls: {mode: AUTO_PASSTHROUGH}
"""
CLUSTER = "outbound|80||reviews.default.svc.cluster.local"


def mesh_of(text: str, mesh_config: str = "{}", *, served: bool = True) -> Mesh:
    parsed = [to_config(document)[0] for document in parse_documents(text.encode(), "mesh.yaml").documents]
    return Mesh.build(
        [config for config in parsed if config is not None],
        MeshConfig.model_validate(yaml.safe_load(mesh_config)),
        certificates_served=served,
    )


def sent(mesh: Mesh, *, proven: bool = True, kind: str = "sidecar") -> mizzen.Resources:
    node = {
        "id": f"{kind}~10.0.0.7~reviews.default~default.svc.cluster.local",
        "metadata": {"LABELS": {"app": "reviews"}},
    }
    proxy = replace(mizzen.Proxy.from_node(node), is_unproven=not proven)
    made = Translation(mesh).resources(proxy)
    return mizzen.Resources.decoded(made, made.diagnostics)


def calls_by_mutual_tls(resources: mizzen.Resources) -> bool:
    cluster = next(one for one in resources.clusters if one.name == CLUSTER)
    return bool(cluster.transport_socket_matches)


def inbound(resources: mizzen.Resources) -> set[tuple[str, bool]]:
    """How connections to port 80 are taken: their transport, and whether TLS ends there."""
    virtual = next(one for one in resources.listeners if one.name == "virtualInbound")
    chains: list[Any] = [
        one for one in virtual.filter_chains if one.filter_chain_match.destination_port.value == 80
    ]
    return {(one.filter_chain_match.transport_protocol, one.HasField("transport_socket")) for one in chains}


@pytest.mark.parametrize(
    ("served", "mesh_config", "automatic"),
    [
        (True, "{}", True),
        (True, "{enableAutoMtls: false}", False),
        (False, "{}", False),
        (False, "{enableAutoMtls: true}", True),
    ],
)
def test_mutual_tls_is_automatic_where_certificates_are_served(
    served: bool, mesh_config: str, automatic: bool
) -> None:
    assert calls_by_mutual_tls(sent(mesh_of(SERVICES, mesh_config, served=served))) is automatic


def test_an_update_that_says_the_same_of_the_mesh_changes_nothing() -> None:
    mesh = mesh_of(SERVICES)

    class NoChange:
        updated = ()
        removed = ()
        moved: ClassVar[dict[ConfigKey, Config[Any]]] = {}

    assert mesh.updated(NoChange(), MeshConfig())[0] is mesh
    after, delta = mesh.updated(NoChange(), MeshConfig.model_validate({"enableAutoMtls": False}))
    assert delta.everything
    assert not calls_by_mutual_tls(sent(after))


def test_a_client_without_a_certificate_calls_in_plain_text() -> None:
    mesh = mesh_of(SERVICES)
    proven, unproven = sent(mesh), sent(mesh, proven=False)
    assert calls_by_mutual_tls(proven)
    assert not calls_by_mutual_tls(unproven)
    metadata = [
        endpoint.metadata.filter_metadata.get("envoy.transport_socket_match")
        for assignment in unproven.endpoints
        for group in assignment.endpoints
        for endpoint in group.lb_endpoints
    ]
    assert metadata == [None]


def test_a_workload_without_a_certificate_takes_plain_text_or_nothing() -> None:
    permissive, strict = mesh_of(SERVICES), mesh_of(SERVICES + STRICT)
    assert inbound(sent(permissive)) == {("tls", True), ("raw_buffer", False)}
    assert inbound(sent(permissive, proven=False)) == {("raw_buffer", False)}
    assert inbound(sent(strict, proven=False)) == {("tls", True)}


def test_a_gateway_passes_mutual_tls_on_without_a_certificate_of_its_own() -> None:
    resources = sent(mesh_of(SERVICES + PASSING), proven=False, kind="router")
    passing = next(one for one in resources.endpoints if one.cluster_name.startswith("outbound_."))
    assert len(passing.endpoints) == 1
