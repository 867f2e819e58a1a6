"""`mizzen test`: what it prints, and how it ends."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.conftest import Command

ROOT = Path(__file__).parents[3]

SERVICE = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.2.0.1}]
"""
TEST = """\
tests:
- name: the shop is reached
  from: 10.2.0.1
  request: GET http://shop.internal/
  expect:
    destination: {host: HOST}
"""


def write(folder: Path, host: str = "shop.internal") -> Path:
    (folder / "mesh.yaml").write_text(SERVICE, encoding="utf-8")
    file = folder / "shop.mesh-test.yaml"
    file.write_text(TEST.replace("HOST", host), encoding="utf-8")
    return file


def test_a_test_tests_the_folder_that_it_lies_in(mizzen: Command, tmp_path: Path) -> None:
    file = write(tmp_path)
    ended = mizzen("test", tmp_path)
    assert (ended.code, ended.out) == (0, f"ok    {file}:2 the shop is reached\n")
    assert ended.err == "1 test: 1 passed, 0 failed\n"
    assert mizzen("test", "-q", file).out == ""


def test_a_failure_ends_with_1(mizzen: Command, tmp_path: Path) -> None:
    file = write(tmp_path, "other.internal")
    ended = mizzen("test", tmp_path, "--quiet")
    assert ended.code == 1
    assert f"FAIL  {file}:2 the shop is reached" in ended.out
    assert "happened  it goes to shop.internal:80" in ended.out
    assert f"from {tmp_path}/mesh.yaml:1" in ended.out


def test_files_that_are_wrong_end_with_2_and_the_rest_is_run(mizzen: Command, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "bad.mesh-test.yaml").write_text(
        "tests:\n- nam: a\n  expect: {closed: true}", encoding="utf-8"
    )
    ended = mizzen("test", tmp_path)
    assert ended.code == 2
    assert (
        f"error: {tmp_path}/bad.mesh-test.yaml:2: tests[0].nam: unknown field; did you mean `name`?"
        in ended.err
    )
    assert "the shop is reached" in ended.out


def test_configuration_that_is_wrong_ends_with_2(mizzen: Command, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "bad.yaml").write_text(
        SERVICE.replace("hosts", "hots").replace("shop}", "bad}"), encoding="utf-8"
    )
    ended = mizzen("test", tmp_path)
    assert ended.code == 2
    assert f"error: {tmp_path}/bad.yaml:5: spec.hots: unknown field" in ended.err


def test_an_unknown_caller_ends_with_2(mizzen: Command, tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_text(file.read_text().replace("from: 10.2.0.1", "from: nobody"), encoding="utf-8")
    ended = mizzen("test", file)
    assert ended.code == 2
    assert f'{file}:3: from: no workload is named "nobody"' in ended.out


def test_nothing_to_test_ends_with_2(mizzen: Command, tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(SERVICE, encoding="utf-8")
    ended = mizzen("test", tmp_path)
    assert ended.code == 2
    assert f"error: {tmp_path}: has no files ending in .mesh-test.yaml" in ended.err
    assert mizzen("test", tmp_path / "absent").code == 2


def test_other_configuration_than_the_file_names(mizzen: Command, tmp_path: Path) -> None:
    file = write(tmp_path)
    rendered = tmp_path / "rendered"
    rendered.mkdir()
    (rendered / "mesh.yaml").write_text(SERVICE.replace("shop.internal", "shop.example"), encoding="utf-8")
    ended = mizzen("test", file, "--config", rendered)
    assert ended.code == 1
    assert "happened  it goes to PassthroughCluster" in ended.out


def test_every_example_passes(mizzen: Command) -> None:
    folders = {path.parent for path in (ROOT / "examples").glob("*/*.mesh-test.yaml")}
    assert folders == {
        path for path in (ROOT / "examples").iterdir() if path.is_dir() and "__" not in path.name
    }
    ended = mizzen("test", ROOT / "examples")
    assert ended.code == 0, ended.out + ended.err
    assert ended.err.endswith(" 0 failed\n")
