"""`mizzen describe`: shows what applies to a service or workload, from which lines, and what looks wrong."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mizzen.cli.admin_client import ADMIN, admin_address, ask
from mizzen.cli.failure import Failure
from mizzen.cli.not_whole import exit_if_not_whole
from mizzen.cli.options import AdminAddress, FilesAsked, MeshConfigPath, MorePaths, NoCertificates

if TYPE_CHECKING:
    from mizzen.explain.describe.description import Description
    from mizzen.mesh.analysis import Fault


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

    Exit 3 if a check failed by a fault of Mizzen.
    With --config it reads files; else it asks a running server, which also knows the connected proxies.
    """
    from mizzen.cli.table_output import Output as Values
    from mizzen.cli.table_output import print_values
    from mizzen.explain.describe.description_text import description_text

    if not name.strip():
        raise Failure("name a service, workload or Gateway, as in: mizzen describe reviews", exit_code=2)
    paths = [*(config or ()), *(more or ())]
    failed: list[Fault] = []
    if paths:
        found = _of_files(name, paths, mesh_config, failed, certificates_served=not no_certificates)
    elif mesh_config is not None or no_certificates:
        raise Failure("--mesh-config and --no-certificates go with --config", exit_code=2)
    else:
        found = _of_server(name, admin)
    if output is Output.TEXT:
        typer.echo(description_text(found), nl=False)
    else:
        print_values(found.as_dict(), Values(output.value))
    exit_if_not_whole(failed)


def _of_files(
    name: str, paths: list[Path], mesh_config: Path | None, failed: list[Fault], *, certificates_served: bool
) -> Description:
    from mizzen.cli.loading import load
    from mizzen.config.refused import Refused
    from mizzen.explain.describe.describe import UnknownNameError
    from mizzen.explain.describe.describe import describe as described
    from mizzen.mesh.analysis import analyze

    loaded = load(paths, mesh_config)
    mesh = loaded.mesh(certificates_served=certificates_served)
    refused = Refused(loaded.refused, loaded.refused_hosts)
    found = (one for one in analyze(mesh, failed.append) if not refused.explains(one))
    try:
        return described(mesh, name, (*loaded.diagnostics, *found))
    except UnknownNameError as error:
        raise Failure(str(error), exit_code=2) from error


def _of_server(name: str, admin: str) -> Description:
    from mizzen.explain.describe.description import Description

    return Description.from_dict(
        ask(admin_address(admin), "/debug/describe", "rules", {"name": name}, files=True)
    )
