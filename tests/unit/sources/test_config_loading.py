"""What the one-shot commands read."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.config import MeshConfig
from mizzen.sources import load_configs, read_mesh_config
from tests.unit.sources.config_folder import Folder

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: %s}\n"
CONFIG_MAP += "data: {mesh: 'rootNamespace: %s'}\n"


def test_valid_documents_and_diagnostics_come_together(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    (folder.path / "b.yaml").write_text(
        folder.document("bad").replace("./*", "nonsense") + folder.document("good")
    )
    loaded = load_configs([folder.path])
    assert [config.name for config in loaded.configs] == ["a", "good"]
    assert loaded.mesh_config == MeshConfig()
    assert {each.origin.line for each in loaded.errors} == {4}
    assert all(str(each).startswith(str(folder.path / "b.yaml:4: spec.egress")) for each in loaded.errors)


def test_the_mesh_s_settings_are_found_among_the_documents(folder: Folder) -> None:
    (folder.path / "a.yaml").write_text(
        CONFIG_MAP % ("aaa", "other") + "---\n" + CONFIG_MAP % ("istio-system", "right")
    )
    assert load_configs([folder.path]).mesh_config.root_namespace == "right"


def test_a_file_of_settings_goes_first(folder: Folder, tmp_path: Path) -> None:
    (folder.path / "a.yaml").write_text(CONFIG_MAP % ("istio-system", "map"))
    settings = tmp_path / "settings.yaml"
    settings.write_text("rootNamespace: file\nhboneIdleTimeout: 1s\n")
    loaded = load_configs([folder.path], mesh_config=settings)
    assert loaded.mesh_config.root_namespace == "file"
    assert [str(each).split(": ")[0] for each in loaded.diagnostics] == [f"{settings}:2"]
    assert loaded.errors == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: no such file"),
        ("connectTimeout: x\n", "is not a duration"),
        ("a: [", "open bracket"),
    ],
)
def test_bad_settings_are_errors_beside_the_defaults(folder: Folder, content: str | None, words: str) -> None:
    settings = folder.path.parent / "settings.yaml"
    if content is not None:
        settings.write_text(content)
    folder.write("a.yaml", "a")
    loaded = load_configs([folder.path], mesh_config=settings)
    assert loaded.mesh_config == MeshConfig()
    assert any(words in each.message for each in loaded.errors)
    assert read_mesh_config(settings)[0] is None


def test_paths_that_are_not_there_are_errors(tmp_path: Path) -> None:
    loaded = load_configs([tmp_path / "none", tmp_path / "no.yaml"])
    assert loaded.configs == ()
    assert len(loaded.errors) == 2


def test_the_default_namespace_and_limit_are_handed_on(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    [config] = load_configs([folder.path], default_namespace="shop").configs
    assert config.namespace == "shop"
    assert "more than the limit of 10" in load_configs([folder.path], max_bytes=10).errors[0].message
