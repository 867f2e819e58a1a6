"""Which Secrets a gateway is given, and what is said of those that it is not."""

from __future__ import annotations

import pytest

from mizzen import xds
from mizzen.config import parse_documents, to_config
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.own.secrets import why_not_sent
from mizzen.translator.translation import Translation

GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: default}
spec:
  selector: {istio: edge}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [a.example.com]
    tls: {mode: SIMPLE, credentialName: certificate}
---
apiVersion: v1
kind: Secret
metadata:
  name: certificate
  namespace: NAMESPACE
"""


PROXY = Proxy.from_node(
    {
        "id": "router~10.0.0.9~edge.istio-system~istio-system.svc.cluster.local",
        "metadata": {"LABELS": {"istio": "edge"}},
    }
)


def mesh_of(text: str) -> Mesh:
    configs = [config for config, _ in map(to_config, parse_documents(text.encode(), "mesh.yaml").documents)]
    return Mesh.build([config for config in configs if config is not None], MeshConfig())


def translated(text: str) -> tuple[xds.Snapshot, tuple[Diagnostic, ...]]:
    return Translation(mesh_of(text)).translate(PROXY)


def diagnostics(text: str) -> list[Diagnostic]:
    snapshot, found = translated(text)
    assert not snapshot.collection(xds.type_urls.SECRET)
    return list(found)


@pytest.mark.parametrize("namespace", ["default", "other"])
def test_a_secret_of_another_namespace_is_named(namespace: str) -> None:
    """Beside its Gateway, say: it is the namespace of the gateway's proxies that counts."""
    (found,) = diagnostics(GATEWAY.replace("NAMESPACE", namespace))
    assert (found.code, str(found.origin), found.path) == ("MZ0300", "mesh.yaml:15", "metadata.namespace")
    assert "by proxies of namespace istio-system" in found.message
    assert found.message.endswith("; move it to istio-system")


@pytest.mark.parametrize("namespaces", [("a", "b"), ("b", "a")])
def test_secrets_of_other_namespaces_stand_in_a_stable_order(namespaces: tuple[str, str]) -> None:
    gateway, _, secret = GATEWAY.partition("---\n")
    text = "---\n".join([gateway, *(secret.replace("NAMESPACE", each) for each in namespaces)])
    lines = {name: text[: text.index(f"namespace: {name}\n")].count("\n") + 1 for name in namespaces}
    assert [each.origin.line for each in diagnostics(text)] == [lines["a"], lines["b"]]
    translation = Translation(mesh_of(text))
    wanted = translation.own(PROXY).secrets
    why = why_not_sent(mesh_of(text), PROXY, wanted, translation.memo)
    assert why.startswith("Secret certificate is in namespace a ")


def test_what_is_wrong_with_the_right_one_is_said_alone() -> None:
    secret = GATEWAY.partition("---\n")[2]
    text = GATEWAY.replace("NAMESPACE", "istio-system") + "---\n" + secret.replace("NAMESPACE", "default")
    (found,) = diagnostics(text)
    assert str(found.origin) == "mesh.yaml:11"


def test_more_files_than_an_envoy_can_watch_are_told_before_it_ends() -> None:
    server = (
        "  - port: {number: 443, name: https-%d, protocol: HTTPS}\n    hosts: [h%d.example.com]\n"
        "    tls: {mode: SIMPLE, serverCertificate: /%d.pem, privateKey: /%d.key}\n"
    )
    head = GATEWAY.partition("  - port")[0]

    def warned(count: int) -> list[Diagnostic]:
        servers = "".join(server.replace("%d", str(number)) for number in range(count))
        return [each for each in translated(head + servers)[1] if each.code == "MZ0302"]

    assert not warned(99)
    (found,) = warned(100)
    assert (found.severity, found.origin.file) == ("warning", "mesh.yaml")
    assert "100 certificates" in found.message
    assert "fs.inotify.max_user_instances" in found.message
