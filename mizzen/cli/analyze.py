"""`mizzen analyze`: says what is wrong with a configuration before it is served."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mizzen.cli.not_whole import exit_if_not_whole
from mizzen.cli.options import MeshConfigPath, NoCertificates

if TYPE_CHECKING:
    from mizzen.config.diagnostics import Diagnostic


class Output(StrEnum):
    """How diagnostics are printed."""

    TEXT = "text"
    JSON = "json"


def analyze(
    paths: Annotated[
        list[Path], typer.Argument(help="Files and folders of YAML; - is standard input.", metavar="PATH")
    ],
    mesh_config: MeshConfigPath = None,
    no_certificates: NoCertificates = False,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="The form of the diagnostics.")
    ] = Output.TEXT,
    notices: Annotated[
        bool, typer.Option("--notices", help="Print diagnostics for information too.")
    ] = False,
) -> None:
    """Check files: `file:line: error|warning CODE message`, one diagnostic a line; exit 1 on an error, 3 if a
    check failed by a fault of Mizzen."""
    from mizzen.cli.contained_answer import updated
    from mizzen.cli.loading import STANDARD_INPUT, load, standard_input
    from mizzen.config.diagnostics import Severity, in_reading_order
    from mizzen.config.store import ConfigChange
    from mizzen.explain.authorizer_diagnostics import authorizer_diagnostics
    from mizzen.incremental import Failure as Failed
    from mizzen.mesh.analysis import Fault
    from mizzen.mesh.analysis import analyze as analyze_mesh
    from mizzen.mesh.snapshot import Mesh
    from mizzen.translator.untranslatable import untranslatable

    files = [path for path in paths if str(path) != "-"]
    given = {STANDARD_INPUT: standard_input()} if len(files) < len(paths) else {}
    loaded = load(files, mesh_config, given)
    empty = Mesh.build((), loaded.mesh_config, certificates_served=not no_certificates)
    mesh, _, faults = updated(empty, ConfigChange(loaded.configs))
    failed: list[Fault] = []
    faults += untranslatable(mesh, failed.append)
    is_translatable = not (faults or failed)
    found = {*loaded.diagnostics, *mesh.diagnostics, *analyze_mesh(mesh, failed.append)}
    found.update(fault.diagnostic for fault in faults)
    if is_translatable:
        try:
            found.update(authorizer_diagnostics(mesh))
        except Exception as error:
            failed.append(Fault.of(Failed("external authorizers", (), error, error.__traceback__)))
    refused = loaded.refused.with_documents(faults)
    wanted = (one for one in found if not refused.explains(one))
    shown = in_reading_order(one for one in wanted if notices or one.severity is not Severity.INFO)
    _print(shown, output, given)
    errors = sum(diagnostic.severity is Severity.ERROR for diagnostic in shown)
    warnings = sum(diagnostic.severity is Severity.WARNING for diagnostic in shown)
    typer.echo(
        f"{_count(loaded.documents, 'document')} checked: {_count(errors, 'error')}, "
        f"{_count(warnings, 'warning')}",
        err=True,
    )
    exit_if_not_whole(failed)
    if errors:
        raise typer.Exit(1)


def _print(diagnostics: list[Diagnostic], output: Output, given: Mapping[str, bytes]) -> None:
    """Print diagnostics; `given` holds contents that are in no file, by the name that the diagnostics use."""
    if output is Output.JSON:
        _print_json(diagnostics)
    elif sys.stdout.isatty():
        from rich.console import Console

        from mizzen.cli.diagnostic_lines import print_diagnostics

        print_diagnostics(diagnostics, given, Console())
    else:
        for diagnostic in diagnostics:
            typer.echo(_line(diagnostic))


def _line(diagnostic: Diagnostic) -> str:
    from mizzen.explain.printable import printable

    path = f"{diagnostic.path}: " if diagnostic.path else ""
    return printable(
        f"{diagnostic.origin}: {diagnostic.severity} {diagnostic.code} {path}{diagnostic.message}"
    )


def _print_json(diagnostics: list[Diagnostic]) -> None:
    from mizzen.cli.table_output import print_json
    from mizzen.server.diagnostic_json import as_json

    print_json([as_json(diagnostic) for diagnostic in diagnostics])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
