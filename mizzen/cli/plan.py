"""`mizzen plan`: what a change of the files would change for the proxies."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mizzen.cli.failure import Failure
from mizzen.cli.loading import NoCertificates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mizzen.config import MeshConfig
    from mizzen.plan import Plan
    from mizzen.sources.two_versions import Files, TwoVersions


class Output(StrEnum):
    """The form of the plan."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


BREAKS = 2
"""The exit code if something breaks."""


def plan(
    paths: Annotated[
        list[Path],
        typer.Argument(help="OLD and NEW, each a file or folder; with --git only NEW.", metavar="OLD NEW"),
    ],
    git: Annotated[
        str, typer.Option("--git", help="Compare with this revision of the same paths.", metavar="REVISION")
    ] = "",
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", help="What both have in common; may be repeated.", metavar="PATH"),
    ] = None,
    node: Annotated[
        list[Path] | None,
        typer.Option("--node", help="Only this proxy, an Envoy Node; may be repeated.", metavar="FILE"),
    ] = None,
    mesh_config: Annotated[
        Path | None, typer.Option("--mesh-config", help="A file with Istio's MeshConfig.", metavar="FILE")
    ] = None,
    no_certificates: NoCertificates = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="The form of the plan.")] = Output.TEXT,
) -> None:
    """Tell what a change of the files changes for each proxy, in meaning, with the lines of both sides.

    Exit 2 if something breaks: a destination without endpoints, a host that no longer matches, connections
    that are cut, traffic that becomes plaintext; 1 if a document of NEW is refused; 0 otherwise.
    """
    from mizzen.cli.loading import load_node
    from mizzen.config.diagnostics import Severity
    from mizzen.sources.two_versions import read_two_versions

    old, new = _sides(paths, git, config or ())
    settings = _settings(mesh_config)
    versions = read_two_versions(old, new, settings=settings)
    findings = [each for each in versions.diagnostics if each.severity is not Severity.INFO]
    for finding in findings:
        path = f"{finding.path}: " if finding.path else ""
        where = new.known_as(str(finding.origin))
        typer.echo(f"{finding.severity}: {where}: {path}{finding.message}", err=True)
    made = _plan(
        versions,
        old,
        new,
        [load_node(each) for each in node or ()],
        certificates_served=not no_certificates,
    )
    _print(made, output)
    if made.breaks:
        raise typer.Exit(BREAKS)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(1)


def _plan(
    versions: TwoVersions, old: Files, new: Files, nodes: Iterable[object], *, certificates_served: bool
) -> Plan:
    from mizzen.mesh.snapshot import Mesh
    from mizzen.plan import fleet
    from mizzen.plan import plan as compared

    before = Mesh.build(versions.configs, versions.settings, certificates_served=certificates_served)
    after, delta = before.updated(versions.change, versions.new_settings)
    pairs = fleet(
        before,
        after,
        delta,
        nodes,  # type: ignore[arg-type]
        old_file=old.known_as,
        new_file=new.known_as,
    )
    return compared(pairs)


def _sides(paths: list[Path], git: str, common: Iterable[Path]) -> tuple[Files, Files]:
    from mizzen.cli.git_revision import files_of_revision
    from mizzen.sources.two_versions import joined, read_files

    shared = [read_files(_there(path), str(path)) for path in common]
    if git:
        old = [files_of_revision(git, path, str(path)) for path in paths]
        new = [read_files(path, str(path)) for path in paths if path.exists()]
        for path, one in zip(paths, old, strict=True):
            if not one.contents and not path.exists():
                raise Failure(f"{path}: there is no such file or folder, neither now nor in {git}", 2)
        return joined([*old, *shared]), joined([*new, *shared])
    if len(paths) != 2:
        raise Failure("say what is compared: mizzen plan OLD NEW, or mizzen plan --git HEAD~1 PATH", 2)
    before, after = map(_there, paths)
    if before.is_dir() != after.is_dir():
        raise Failure(f"{before} and {after}: give two folders or two files", exit_code=2)
    return (
        joined([read_files(before, str(after)), *shared]),
        joined([read_files(after, str(after)), *shared]),
    )


def _there(path: Path) -> Path:
    if not path.exists():
        raise Failure(f"{path}: there is no such file or folder", exit_code=2)
    return path


def _settings(file: Path | None) -> MeshConfig | None:
    from mizzen.sources.loading import read_mesh_config

    if file is None:
        return None
    settings, findings = read_mesh_config(_there(file))
    if settings is None:
        raise Failure("; ".join(map(str, findings)))
    return settings


def _print(made: Plan, output: Output) -> None:
    from mizzen.plan import plan_markdown, plan_text

    if output is Output.JSON:
        import json

        typer.echo(json.dumps(made.as_dict(), indent=2, ensure_ascii=False))
        return
    typer.echo(plan_markdown(made) if output is Output.MARKDOWN else plan_text(made), nl=False)
