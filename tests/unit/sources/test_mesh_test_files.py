"""Files with tests of a mesh are no configuration, however they are named."""

from __future__ import annotations

from pathlib import Path

from mizzen.config.diagnostics import Severity
from mizzen.sources import FileSource, load_configs

SERVICE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"


def test_a_folder_is_read_without_its_tests(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(SERVICE, encoding="utf-8")
    for name in ("a.mesh-test.yaml", "b.mesh-test.yml"):
        (tmp_path / name).write_text("tests: nonsense", encoding="utf-8")
    source = FileSource([tmp_path])
    assert set(source.scan()) == {str(tmp_path / "mesh.yaml")}
    assert source.listing.ignores(str(tmp_path / "a.mesh-test.yaml"))
    (tmp_path / "a.mesh-test.yaml").write_text("tests: other", encoding="utf-8")
    assert source.scan() == {}


def test_a_file_of_tests_that_is_named_is_told_and_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.mesh-test.yaml"
    file.write_text("tests: nonsense", encoding="utf-8")
    (tmp_path / "mesh.yaml").write_text(SERVICE, encoding="utf-8")
    loaded = load_configs(sorted(tmp_path.iterdir()))
    assert loaded.documents == 1
    (told,) = loaded.diagnostics
    assert told.severity is Severity.INFO
    assert str(told) == f"{file}: holds tests of a mesh and is not read here; `mizzen test` runs them"


def test_a_folder_with_tests_alone_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.mesh-test.yaml").write_text("tests: nonsense", encoding="utf-8")
    (told,) = load_configs([tmp_path]).diagnostics
    assert told.message.startswith("has no files ending in .yaml, .yml, .json")
