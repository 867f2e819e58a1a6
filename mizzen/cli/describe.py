"""`mizzen describe`: shows what applies to a service or workload, from which lines, and what looks wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mizzen.cli.admin_client import ADMIN, admin_address, ask
from mizzen.cli.failure import Failure
from mizzen.cli.options import AdminAddress, FilesAsked, MeshConfigPath, MorePaths, NoCertificates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mizzen.explain.describe.description import Description
    from mizzen.mesh.analysis import Fault
    from mizzen.mesh.fault_search import Withheld
    from mizzen.mesh.snapshot import Mesh
    from mizzen.sources.loading import LoadedConfigs


class Output(StrEnum):
    """The form of the description."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def describe(
    name: Annotated[
        str,
        typer.Argument(
            help="A service, workload or Gateway: reviews, reviews.default, a host, an address; if several "
            "have the name, service/NAME, workload/NAME, pod/NAME, workloadentry/NAME or gateway/NAME.",
            metavar="SERVICE|WORKLOAD|GATEWAY",
        ),
    ],
    config: FilesAsked = None,
    more: MorePaths = None,
    mesh_config: MeshConfigPath = None,
    no_certificates: NoCertificates = False,
    admin: AdminAddress = ADMIN,
    output: Annotated[Output, typer.Option("-o", "--output", help="The form.")] = Output.TEXT,
) -> None:
    """Tell all about a service, workload or Gateway: ports, endpoints, TLS, rules, and what is odd.

    Exit 3 if a check failed by a fault of Mizzen, or a valid document is left out by one.
    With --config it reads files; else it asks a running server, which also knows the connected proxies.
    """
    from mizzen.cli.contained_answer import FilesAnswer
    from mizzen.cli.loading import load

    if not name.strip():
        raise Failure("name a service, workload or Gateway, as in: mizzen describe reviews", exit_code=2)
    paths = [*(config or ()), *(more or ())]
    if paths:
        loaded = load(paths, mesh_config)
        files = FilesAnswer(loaded, certificates_served=not no_certificates)
        found, failed = files.answer(lambda mesh: _of_files(name, loaded, files.withheld, mesh))
        _show(found, output)
        files.exit_if_not_whole(failed)
    elif mesh_config is not None or no_certificates:
        raise Failure("--mesh-config and --no-certificates go with --config", exit_code=2)
    else:
        _show(_of_server(name, admin), output)


def _show(found: Description, output: Output) -> None:
    from mizzen.cli.table_output import Output as Values
    from mizzen.cli.table_output import print_values
    from mizzen.explain.describe.description_text import description_text

    if output is Output.TEXT:
        typer.echo(description_text(found), nl=False)
    else:
        print_values(found.as_dict(), Values(output.value))


def _of_files(
    name: str, loaded: LoadedConfigs, withheld: Iterable[Withheld], mesh: Mesh
) -> tuple[Description, list[Fault]]:
    from mizzen.explain.describe.describe import UnknownNameError
    from mizzen.explain.describe.describe import describe as described
    from mizzen.mesh.analysis import analyze

    failed: list[Fault] = []
    refused = loaded.refused.with_documents(withheld)
    found = (one for one in analyze(mesh, failed.append) if not refused.explains(one))
    try:
        return described(mesh, name, (*loaded.diagnostics, *found)), failed
    except UnknownNameError as error:
        raise Failure(str(error), exit_code=2) from error


def _of_server(name: str, admin: str) -> Description:
    from mizzen.explain.describe.description import Description

    return Description.from_dict(
        ask(admin_address(admin), "/debug/describe", "rules", {"name": name}, files=True)
    )
