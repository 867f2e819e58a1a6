"""Meshes from YAML, as users write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.config import Config, ConfigChange, MeshConfig, Severity, parse_documents, to_config
from mizzen.config.kinds import KINDS_BY_NAME
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.mesh.snapshot import Mesh

APIS = {
    "Service": "v1",
    "Namespace": "v1",
    "Pod": "v1",
    "Node": "v1",
    "Endpoints": "v1",
    "Secret": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    **dict.fromkeys(
        ("PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"), "security.istio.io/v1"
    ),
}


def load(text: str, file: str = "mesh.yaml") -> list[Config[Any]]:
    """Read documents whose apiVersion may be left out."""
    whole = []
    for document in text.split("\n---"):
        kind = next(line.split(":")[1].strip() for line in document.splitlines() if line.startswith("kind:"))
        version = APIS.get(kind, "networking.istio.io/v1")
        whole.append(f"apiVersion: {version}\n{document.strip()}\n")
    parsed = parse_documents("---\n".join(whole).encode(), file)
    configs = []
    for document in parsed.documents:
        config, diagnostics = to_config(document)
        errors = [str(one) for one in diagnostics if one.severity is Severity.ERROR]
        assert config is not None, errors
        configs.append(config)
    assert len(configs) == len(whole), parsed.diagnostics
    return configs


@pytest.fixture
def load_configs() -> Callable[..., list[Config[Any]]]:
    return load


@pytest.fixture
def mesh_of() -> Callable[..., Mesh]:
    def build(text: str, **mesh_config: Any) -> Mesh:
        return Mesh.build(load(text), MeshConfig.of(**mesh_config))

    return build


@pytest.fixture
def changed() -> Callable[..., Any]:
    """Change a mesh: YAML of what is new or different, keys of what is gone."""

    def change(mesh: Mesh, text: str = "", removed: tuple[tuple[str, str, str], ...] = ()) -> Any:
        updated = tuple(load(text, "changed.yaml")) if text else ()
        keys = tuple(KINDS_BY_NAME[kind][0].of.key(*rest) for kind, *rest in removed)
        return mesh.updated(ConfigChange(updated=updated, removed=keys))

    return change


@pytest.fixture
def proxy_at() -> Callable[..., Proxy]:
    def make(
        namespace: str = "default", address: str = "10.9.9.9", kind: str = "sidecar", **labels: str
    ) -> Proxy:
        return Proxy.from_node(
            {
                "id": f"{kind}~{address}~client.{namespace}~{namespace}.svc.cluster.local",
                "metadata": {"NAMESPACE": namespace, "LABELS": labels},
            }
        )

    return make


@pytest.fixture
def scope_of(proxy_at: Callable[..., Proxy]) -> Callable[..., SidecarScope]:
    def find(mesh: Mesh, namespace: str = "default", **labels: str) -> SidecarScope:
        kind = labels.pop("kind", "sidecar")
        return mesh.scope(mesh.outbound_profile(proxy_at(namespace, kind=kind, **labels)))

    return find
