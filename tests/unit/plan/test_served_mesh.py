"""A plan against what a server serves says what a plan of its files would say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.plan import Plan, ServedMesh, change_to, fleet, plan
from mizzen.plan.served_mesh import told
from mizzen.sources.two_versions import ConfigVersion, read_files, read_version
from tests.self_signed import certificate_and_key
from tests.unit.plan.test_plan import EDITS, MESH, planned


def version_of(file: Path) -> ConfigVersion:
    return read_version(read_files(file, str(file)))


def served(folder: Path, text: str, nodes: tuple[Proxy, ...] = ()) -> ServedMesh:
    (folder / "served.yaml").write_text(text, encoding="utf-8")
    version = version_of(folder / "served.yaml")
    values = json.dumps(told(Mesh.build(version.configs, version.settings), nodes))
    return ServedMesh.from_dict(json.loads(values))


def against(served_mesh: ServedMesh, folder: Path, text: str, nodes: tuple[Proxy, ...] = ()) -> Plan:
    (folder / "new.yaml").write_text(text, encoding="utf-8")
    version = version_of(folder / "new.yaml")
    compared = change_to(served_mesh, version.configs, version.refused)
    before = served_mesh.mesh(compared.served)
    after, _ = before.updated(compared.change, version.settings or served_mesh.mesh_config)
    return plan(fleet(before, after, nodes or served_mesh.proxies))


def shown(found: Plan) -> Any:
    """All but the names of the files."""
    values = json.dumps(found.as_dict())
    for name in ("old/mesh.yaml", "new/mesh.yaml", "served.yaml", "new.yaml"):
        values = values.replace(name, "FILE")
    return json.loads(values)


@pytest.mark.parametrize("edit", EDITS)
def test_a_plan_is_that_of_the_files(edit: str, tmp_path: Path) -> None:
    before, after, _ = EDITS[edit]
    new = MESH.replace(before, after)
    assert shown(against(served(tmp_path, MESH), tmp_path, new)) == shown(planned(tmp_path, MESH, new))


def test_what_is_served_as_it_is_changes_nothing(tmp_path: Path) -> None:
    settings = (
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
        "data: {mesh: 'connectTimeout: 3s'}\n"
    )
    for text in (MESH, MESH + settings):
        version = served(tmp_path, text)
        written = {config.key: config for config in version_of(tmp_path / "served.yaml").configs}
        assert version.documents.keys() == written.keys()
        compared = change_to(version, written.values(), ())
        assert not compared.change.updated
        assert not compared.change.removed
        assert against(version, tmp_path, text).is_empty


def test_the_proxies_are_those_that_are_connected(tmp_path: Path) -> None:
    before, after, _ = EDITS["weights"]
    one = Proxy.from_node(
        {
            "id": "sidecar~10.2.0.77~stranger.default~default.svc.cluster.local",
            "metadata": {"LABELS": {"app": "stranger"}, "NAMESPACE": "default", "IDLE_TIMEOUT": "5s"},
        }
    )
    found = against(served(tmp_path, MESH, (one,)), tmp_path, MESH.replace(before, after))
    assert [group.proxies for group in found.groups] == [("sidecar stranger.default",)]


def secret(certificate: bytes, key: bytes) -> str:
    values = {"tls.crt": certificate.decode(), "tls.key": key.decode()}
    metadata = {"name": "shop"}
    kind = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls"}
    return "---\n" + json.dumps({**kind, "stringData": values})


def test_secrets_are_compared_and_never_told(tmp_path: Path) -> None:
    plain, encrypted, _ = EDITS["a secret is asked for that is not there"]
    mesh = MESH.replace(plain, encrypted)
    first, other = (secret(*map(_bytes, certificate_and_key())) for _ in range(2))
    now = served(tmp_path, mesh + first)
    assert "PRIVATE" not in repr(now)
    assert against(now, tmp_path, mesh + first).is_empty
    (changed,) = against(now, tmp_path, mesh + other).changes
    assert changed.change.what == "has another content"
    (gone,) = against(now, tmp_path, mesh).changes
    assert gone.change.danger == "no secret"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def test_another_form_is_an_error_with_words() -> None:
    with pytest.raises(ValueError, match="in a different form"):
        ServedMesh.from_dict({"documents": []})
