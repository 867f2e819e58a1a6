"""The pytest plugin: `*.mesh-test.yaml` files are tests, and fixtures make meshes. See docs/testing.md.

Every pytest in an environment with Mizzen imports this module, so it imports only pytest itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from os import PathLike

    from mizzen.config.interception import InterceptionMode
    from mizzen.mesh_tests import MeshTestFile, MeshUnderTest, PlacedTest, Result
    from mizzen.testing.running_envoys import RunningEnvoys
    from mizzen.testing.running_mesh import RunningMesh
    from mizzen.testing.simulated_mesh import SimulatedMesh

_SUFFIXES = (".mesh-test.yaml", ".mesh-test.yml")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `mizzen test --envoy`, under a name that no other plugin uses."""
    help_text = "make the calls of *.mesh-test.yaml with real Envoys, and compare them"
    parser.getgroup("mizzen").addoption("--mizzen-envoy", action="store_true", help=help_text)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect files with tests of a mesh."""
    if file_path.name.endswith(_SUFFIXES):
        collected: pytest.Collector = MeshTestCollector.from_parent(parent, path=file_path)
        return collected
    return None


class MeshTestFailure(Exception):  # noqa: N818 (what a user reads, not a fault of the program)
    """A test of a mesh failed; the text says what happened."""


class SimulatorDiffers(pytest.PytestWarning):
    """Envoy handled the calls of a test differently than the simulator."""


class MeshTestCollector(pytest.File):
    """A file with tests of a mesh. Its first test loads the mesh and, if asked for, starts its Envoys; these
    stop after its last test."""

    _under_test: MeshUnderTest | None = None
    _envoys: RunningEnvoys | None = None
    _file: MeshTestFile | None = None

    def collect(self) -> Iterable[pytest.Item]:
        """Yield an item for each test of the file. Raises CollectError if the file is wrong."""
        from mizzen.mesh_tests import read_mesh_tests

        shown = self.path.relative_to(self.config.rootpath) if self._below_root() else self.path
        self._file = read_mesh_tests(self.path.read_bytes(), str(shown))
        if not self._file.valid:
            raise self.CollectError("\n".join(map(str, self._file.diagnostics)))
        for placed in self._file.tests:
            yield MeshTestItem.from_parent(self, name=placed.test.name, placed=placed)

    def run(self, placed: PlacedTest) -> Result:
        """Return the result of a test of the file. Raises MeshTestFailure if the configuration has errors, or
        if Envoys are asked for and there is no Envoy."""
        if not self.config.getoption("mizzen_envoy"):
            return self._mesh().run(placed)
        from mizzen.demo.errors import DemoError
        from mizzen.testing.running_envoys import RunningEnvoys

        if self._envoys is None:
            try:
                self._envoys = RunningEnvoys(self._mesh())
            except DemoError as error:
                raise MeshTestFailure(str(error)) from error
        return self._envoys.run(placed)

    def teardown(self) -> None:
        """Stop the Envoys."""
        if self._envoys is not None:
            self._envoys.close()
            self._envoys = None

    def _mesh(self) -> MeshUnderTest:
        from dataclasses import replace

        from mizzen.sources.mesh_tests import load_mesh_under_test

        if self._under_test is None:
            assert self._file is not None
            found, loaded = load_mesh_under_test(replace(self._file, file=str(self.path)))
            if loaded.errors:
                raise MeshTestFailure("\n".join(map(str, loaded.errors)))
            self._under_test = found
        return self._under_test

    def _below_root(self) -> bool:
        return self.path.is_relative_to(self.config.rootpath)


class MeshTestItem(pytest.Item):
    """One test of a mesh."""

    def __init__(self, *, placed: PlacedTest, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.placed = placed

    def runtest(self) -> None:
        """Simulate the call, or make it. Raises MeshTestFailure if it does not end as expected."""
        from mizzen.mesh_tests.result_text import failure_text

        assert isinstance(self.parent, MeshTestCollector)
        result = self.parent.run(self.placed)
        if result.differs:
            self.warn(SimulatorDiffers(result.differs))
        if not result.passed:
            raise MeshTestFailure(failure_text(result))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what happened, without a traceback of Python."""
        if isinstance(excinfo.value, MeshTestFailure):
            return f"{self.placed.origin} {self.name}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the file and line of the test."""
        return self.path, self.placed.origin.line - 1, self.name


class MakeMesh(Protocol):
    """Makes a mesh from files and folders."""

    def __call__(
        self,
        *paths: str | PathLike[str],
        mesh_config: str | PathLike[str] | None = None,
        certificates_served: bool = True,
        interception_mode: InterceptionMode = "REDIRECT",
    ) -> SimulatedMesh:
        """Return the mesh; raises mizzen.ConfigError."""


@pytest.fixture(scope="session")
def mizzen_mesh() -> MakeMesh:
    """Return a function that makes a mesh from files and folders, which tells where requests go without an
    Envoy.

    Each mesh is made once in a session.
    """
    from mizzen.testing.simulated_mesh import SimulatedMesh

    made: dict[tuple[str, ...], SimulatedMesh] = {}

    def make(
        *paths: str | PathLike[str],
        mesh_config: str | PathLike[str] | None = None,
        certificates_served: bool = True,
        interception_mode: InterceptionMode = "REDIRECT",
    ) -> SimulatedMesh:
        settings = f"{mesh_config} {certificates_served} {interception_mode}"
        key = (*(str(Path(path).resolve()) for path in paths), settings)
        if key not in made:
            made[key] = SimulatedMesh(
                *paths,
                mesh_config=mesh_config,
                certificates_served=certificates_served,
                interception_mode=interception_mode,
            )
        return made[key]

    return make


@pytest.fixture
def mizzen_live_mesh(tmp_path: Path) -> Iterator[RunningMesh]:
    """Run `mizzen serve` with a folder of its own, and on demand real Envoys and workloads, on free ports."""
    from mizzen.testing.running_mesh import RunningMesh

    with RunningMesh(tmp_path) as mesh:
        yield mesh
