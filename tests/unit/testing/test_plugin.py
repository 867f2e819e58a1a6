"""The pytest plugin, as users meet it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mizzen.testing.simulated_mesh import SimulatedMesh
from tests.unit.testing.forked_pytest import run

pytest_plugins = "pytester"
ROOT = Path(__file__).parents[3]

MESH = """\
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
TESTS = """\
tests:
- name: it arrives
  from: 10.2.0.1
  request: GET http://shop.internal/
  expect: {destination: {host: shop.internal}}
- name: it is not there
  from: 10.2.0.1
  request: GET http://shop.internal/
  expect: {status: 404}
"""


def test_files_are_collected_and_fail_with_their_steps(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("mesh.yaml").write_text(MESH, encoding="utf-8")
    pytester.path.joinpath("shop.mesh-test.yaml").write_text(TESTS, encoding="utf-8")
    result = run(pytester, "--junit-xml", "junit.xml")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*shop.mesh-test.yaml:6 it is not there",
            "  expected  a proxy answers 404",
            "  happened  it goes to shop.internal:80",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    cases = ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
    assert [case.get("name") for case in cases] == ["it arrives", "it is not there"]
    run(pytester, "-k", "arrives").assert_outcomes(passed=1, deselected=1)


def test_a_wrong_file_is_an_error_with_its_line(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("shop.mesh-test.yaml").write_text(
        TESTS.replace("expect", "expcet", 1), encoding="utf-8"
    )
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*shop.mesh-test.yaml:5: tests?0?.expcet: unknown field; did you mean `expect`?"]
    )


def test_wrong_configuration_fails_each_test(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("mesh.yaml").write_text(MESH.replace("hosts", "hots"), encoding="utf-8")
    pytester.path.joinpath("shop.mesh-test.yaml").write_text(TESTS, encoding="utf-8")
    result = run(pytester)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*mesh.yaml:5: spec.hots: unknown field*"])


def test_with_envoys_is_said_what_is_missing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/e2e/test_mesh_tests_with_envoys.py runs them."""
    monkeypatch.setenv("MIZZEN_ENVOY", "/nowhere/envoy")
    pytester.path.joinpath("mesh.yaml").write_text(MESH, encoding="utf-8")
    pytester.path.joinpath("shop.mesh-test.yaml").write_text(TESTS, encoding="utf-8")
    result = run(pytester, "--mizzen-envoy")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*/nowhere/envoy*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_the_fixture_gives_a_mesh(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("mesh.yaml").write_text(MESH, encoding="utf-8")
    pytester.makepyfile(
        """
        def test_it(mizzen_mesh):
            mesh = mizzen_mesh("mesh.yaml")
            assert mizzen_mesh("mesh.yaml") is mesh
            uncaptured = mizzen_mesh("mesh.yaml", interception_mode="NONE")
            assert uncaptured is not mesh
            ends = mesh.request("http://shop.internal/a", from_="10.2.0.1")
            assert (ends.host, ends.one.path, ends.status) == ("shop.internal", "/a", None)
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_mesh_tells_shares_and_steps() -> None:
    mesh = SimulatedMesh(ROOT / "examples/bookinfo", ROOT / "examples/compose/workloads.yaml")
    ends = mesh.request("GET http://reviews:9080/", from_="productpage-v1")
    assert ends.shares == {"v1": 0.5, "v2": 0.3, "v3": 0.2}
    with pytest.raises(AssertionError, match="the calls are split"):
        assert ends.host
    jason = mesh.request("GET http://reviews:9080/", from_="productpage-v1", headers={"end-user": "jason"})
    assert jason.subset == "v2"
    assert "route         jason" in jason.why
    front = mesh.request("http://bookinfo.example.com:8080/", gateway="bookinfo-gateway")
    assert (front.status, front.location) == (302, "http://bookinfo.example.com:8080/productpage")
    with pytest.raises(ValueError, match="one of from_ and gateway"):
        mesh.connection("mysql:3306")


def test_an_unused_plugin_loads_nothing() -> None:
    script = (
        "import sys, pytest; known = set(sys.modules); import mizzen.testing.plugin; "
        "print(*sorted(each for each in set(sys.modules) - known if not each.startswith('mizzen')))"
        "; print(*sorted(each for each in sys.modules if each.startswith('mizzen')))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    others, ours = loaded.stdout.splitlines()
    assert ours.split() == ["mizzen", "mizzen.testing", "mizzen.testing.plugin"]
    assert others == ""


def test_pytest_finds_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"mizzen.testing.plugin": "mizzen.testing.plugin"}
