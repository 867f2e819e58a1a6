"""`mizzen plan`: shows what changed files would change for the proxies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mizzen.cli.admin_client import ADMIN, admin_address, ask
from mizzen.cli.contained_answer import TwoVersionsAnswer
from mizzen.cli.error_lines import print_error_line
from mizzen.cli.failure import Failure
from mizzen.cli.not_whole import NOT_WHOLE, exit_if_not_whole
from mizzen.cli.options import AdminAddress, MeshConfigPath, NoCertificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mizzen.config import Config, Diagnostic, MeshConfig
    from mizzen.mesh.analysis import Fault
    from mizzen.mesh.proxy.node import Proxy
    from mizzen.mesh.snapshot import Mesh
    from mizzen.plan import Plan
    from mizzen.sources.two_versions import Files


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
        typer.Argument(
            help="OLD and NEW, each a file or folder; with --git and --server only NEW.", metavar="OLD NEW"
        ),
    ],
    git: Annotated[
        str, typer.Option("--git", help="Compare with this revision of the same paths.", metavar="REVISION")
    ] = "",
    server: Annotated[
        bool, typer.Option("--server", help="Compare with what a running server serves.")
    ] = False,
    config: Annotated[
        list[Path] | None,
        typer.Option("--config", help="What both have in common; may be repeated.", metavar="PATH"),
    ] = None,
    node: Annotated[
        list[Path] | None,
        typer.Option("--node", help="Only this proxy, an Envoy Node; may be repeated.", metavar="FILE"),
    ] = None,
    mesh_config: MeshConfigPath = None,
    no_certificates: NoCertificates = False,
    admin: AdminAddress = ADMIN,
    output: Annotated[Output, typer.Option("-o", "--output", help="The form of the plan.")] = Output.TEXT,
) -> None:
    """Tell what changed files change for each proxy, in meaning, with the lines of both sides.

    Exit 2 if something breaks: a destination without endpoints, a host that no longer matches, connections
    that are cut, traffic that becomes plaintext, or that is refused; 1 if a document of NEW is refused; 3
    if a check failed, or a valid document is withheld, by a fault of Mizzen; 0 otherwise.
    """
    from mizzen.cli.loading import load_node
    from mizzen.config.diagnostics import Severity

    settings, nodes = _settings(mesh_config), [load_node(each) for each in node or ()]
    if server:
        if git or no_certificates:
            raise Failure("--server compares with what a server serves, not with files or --git", 2)
        found = _with_server([*paths, *(config or ())], settings, admin, nodes)
    else:
        sides = _sides(paths, git, config or ())
        found = _with_files(*sides, settings, nodes, certificates_served=not no_certificates)
    diagnostics = [each for each in found.diagnostics if each.severity is not Severity.INFO]
    for diagnostic in diagnostics:
        _tell(diagnostic, found.known_as)
    _print(found.plan, output)
    exit_if_not_whole(found.failed)
    if found.withholds:
        raise typer.Exit(NOT_WHOLE)
    if found.plan.breaks:
        raise typer.Exit(BREAKS)
    if any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Compared:
    """A plan, the diagnostics of NEW, the function from its files' internal names to the user's names, and
    the checks that failed. `withholds`: documents are withheld by a fault of Mizzen."""

    plan: Plan
    diagnostics: Sequence[Diagnostic]
    known_as: Callable[[str], str]
    failed: Sequence[Fault]
    withholds: bool


def _with_files(
    old: Files, new: Files, settings: MeshConfig | None, nodes: Sequence[Proxy], *, certificates_served: bool
) -> _Compared:
    from mizzen.mesh.snapshot import Mesh
    from mizzen.plan import fleet, new_refusals, plan
    from mizzen.sources.two_versions import read_two_versions

    versions = read_two_versions(old, new, settings=settings)

    def build(configs: Iterable[Config[Any]]) -> Mesh:
        return Mesh.build(configs, versions.settings, certificates_served=certificates_served)

    def made(before: Mesh, after: Mesh) -> tuple[Plan, list[Fault]]:
        failed: list[Fault] = []
        pairs = fleet(before, after, nodes, old_file=old.known_as, new_file=new.known_as)
        return plan(pairs, new_refusals(before, after, new.known_as, failed.append)), failed

    def say(diagnostic: Diagnostic) -> None:
        side = new if diagnostic.origin in {each.origin for each in versions.change.updated} else old
        _tell(diagnostic, side.known_as, old.known_as)

    answer = TwoVersionsAnswer(build, versions.configs, versions.change, versions.new_settings, nodes, say)
    found, failed = answer.answer(made)
    return _Compared(found, versions.diagnostics, new.known_as, failed, bool(answer.withheld))


def _with_server(
    paths: Sequence[Path], settings: MeshConfig | None, admin: str, nodes: Sequence[Proxy]
) -> _Compared:
    """Compare files with what a server serves, for the proxies that are connected to it."""
    from mizzen.plan import ServedMesh, change_to, fleet, new_refusals, plan
    from mizzen.sources.two_versions import joined, read_files, read_version

    new = joined([read_files(_there(path), str(path)) for path in paths])
    address = admin_address(admin)
    try:
        served = ServedMesh.from_dict(ask(address, "/debug/served", "documents"))
    except ValueError as error:
        raise Failure(f"{address}: {error}; is it another version of Mizzen?") from error
    version = read_version(new)
    compared = change_to(served, version.configs, version.refused)
    proxies = nodes or served.proxies

    def made(before: Mesh, after: Mesh) -> tuple[Plan, list[Fault]]:
        failed: list[Fault] = []
        pairs = fleet(before, after, proxies)
        return plan(pairs, new_refusals(before, after, note=failed.append)), failed

    answer = TwoVersionsAnswer(
        served.mesh,
        compared.served,
        compared.change,
        settings or version.settings or served.mesh_config,
        proxies,
        lambda diagnostic: _tell(diagnostic, new.known_as),
    )
    found, failed = answer.answer(made)
    return _Compared(found, version.diagnostics, new.known_as, failed, bool(answer.withheld))


def _tell(
    diagnostic: Diagnostic, known_as: Callable[[str], str], mentioned_as: Callable[[str], str] = str
) -> None:
    path = f"{diagnostic.path}: " if diagnostic.path else ""
    message = diagnostic.message
    for mention in diagnostic.mentions:
        message = message.replace(str(mention), mentioned_as(str(mention)))
    print_error_line(f"{diagnostic.severity}: {known_as(str(diagnostic.origin))}: {path}{message}")


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
        said = "say what is compared: mizzen plan OLD NEW, or mizzen plan NEW with --git HEAD~1 or --server"
        raise Failure(said, exit_code=2)
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
    settings, diagnostics = read_mesh_config(_there(file))
    if settings is None:
        raise Failure("; ".join(map(str, diagnostics)))
    return settings


def _print(made: Plan, output: Output) -> None:
    from mizzen.plan import plan_markdown, plan_text

    if output is Output.JSON:
        from mizzen.cli.table_output import print_json

        print_json(made.as_dict())
        return
    typer.echo(plan_markdown(made) if output is Output.MARKDOWN else plan_text(made), nl=False)
