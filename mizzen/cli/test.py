"""`mizzen test`: runs the tests that stand beside the YAML of a mesh."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mizzen.cli.error_lines import print_error_line
from mizzen.cli.failure import Failure
from mizzen.cli.not_whole import NOT_WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mizzen.config.diagnostics import Diagnostic
    from mizzen.mesh.snapshot import Mesh
    from mizzen.mesh_tests import MeshTestFile, MeshUnderTest, PlacedTest, Result


def run_tests(
    paths: Annotated[
        list[Path], typer.Argument(help="Files *.mesh-test.yaml, and folders with them.", metavar="PATH")
    ],
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", help="Test this configuration, not what the files name.", metavar="PATH"),
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print only what is wrong.")] = False,
    envoy: Annotated[
        bool, typer.Option("--envoy", help="Make the calls with real Envoys, and compare them.")
    ] = False,
) -> None:
    """Run the tests of a mesh: does each call go where its test says?

    Every file *.mesh-test.yaml says which configuration it tests; the default is the file's folder. No Envoy
    and no server is needed: calls are simulated with what the proxies of both ends would be sent. With
    --envoy the calls are real: each proxy on the way is an Envoy, and test servers stand in for the
    destinations. Exit 1 if a test fails, 2 if a file of tests or its configuration is wrong, 3 if a
    valid document is left out by a fault of Mizzen.
    """
    from mizzen.sources.mesh_tests import load_mesh_tests

    counts: Counter[str] = Counter()
    for file in load_mesh_tests(paths):
        counts["wrong"] += _say(file.diagnostics)
        if file.tests:
            counts += _run(file, config or (), quiet=quiet, envoy=envoy)
    typer.echo(_summary(counts), err=True)
    if counts["withheld"]:
        raise typer.Exit(NOT_WHOLE)
    if counts["wrong"]:
        raise typer.Exit(2)
    if counts["failed"]:
        raise typer.Exit(1)


def _run(file: MeshTestFile, config: Sequence[Path], *, quiet: bool, envoy: bool) -> Counter[str]:
    from mizzen.cli.contained_answer import FilesAnswer
    from mizzen.mesh_tests import MeshUnderTest, result_text
    from mizzen.sources.mesh_tests import load_tested_configs

    loaded = load_tested_configs(file, config)
    counts: Counter[str] = Counter(wrong=_say(loaded.diagnostics))

    def tell(result: Result) -> None:
        counts["passed" if result.passed else "wrong" if result.error else "failed"] += 1
        counts["differing"] += bool(result.differs)
        if not (quiet and result.passed and not result.differs):
            typer.echo(result_text(result), nl=False)

    def made(mesh: Mesh) -> tuple[MeshUnderTest, list[Result]]:
        under_test = MeshUnderTest(mesh, file.interception_mode)
        return under_test, [under_test.run(placed) for placed in file.tests]

    files = FilesAnswer(loaded, certificates_served=file.certificates_served)
    under_test, results = files.answer(made)
    if envoy:
        _run_with_envoys(under_test, file.tests, tell)
    else:
        for result in results:
            tell(result)
    counts["withheld"] += len(files.withheld)
    return counts


def _run_with_envoys(
    under_test: MeshUnderTest, tests: Iterable[PlacedTest], tell: Callable[[Result], None]
) -> None:
    from mizzen.demo.errors import DemoError
    from mizzen.testing.envoy_mesh import run_with_envoys

    try:
        run_with_envoys(under_test, tests, tell)
    except DemoError as error:
        raise Failure(str(error), exit_code=2) from error


def _say(diagnostics: Iterable[Diagnostic]) -> int:
    """Print diagnostics, and return how many are errors."""
    from mizzen.config.diagnostics import Severity

    shown = [each for each in diagnostics if each.severity is not Severity.INFO]
    for each in shown:
        print_error_line(f"{each.severity}: {each}")
    return sum(each.severity is Severity.ERROR for each in shown)


def _summary(counts: Counter[str]) -> str:
    total = counts["passed"] + counts["failed"]
    said = f"{total} test{'' if total == 1 else 's'}: {counts['passed']} passed, {counts['failed']} failed"
    if counts["differing"]:
        said += f"; the simulator differs from Envoy in {counts['differing']}"
    return f"{said}; what is wrong with the files: {counts['wrong']}" if counts["wrong"] else said
