"""`mizzen translate`: prints what one proxy would be sent, from files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mizzen.cli.options import ConfigPaths, MeshConfigPath, MorePaths, NoCertificates


class Output(StrEnum):
    """The form of the resources."""

    JSON = "json"
    YAML = "yaml"


class Kind(StrEnum):
    """The kinds of resources."""

    CLUSTERS = "clusters"
    ENDPOINTS = "endpoints"
    LISTENERS = "listeners"
    ROUTES = "routes"
    SECRETS = "secrets"


def translate(
    config: ConfigPaths,
    node: Annotated[
        Path, typer.Option("--node", help="The proxy: an Envoy Node as YAML or JSON.", metavar="FILE")
    ],
    more: MorePaths = None,
    mesh_config: MeshConfigPath = None,
    no_certificates: NoCertificates = False,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="The form of the resources.")
    ] = Output.JSON,
    kind: Annotated[Kind | None, typer.Option("--type", help="Print the resources of one kind only.")] = None,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Print private keys instead of [redacted].")
    ] = False,
) -> None:
    """Print everything that one proxy would be sent: clusters, endpoints, listeners, routes, secrets.

    Diagnostics go to standard error; valid documents are translated all the same, as the server does. Exit 1
    if a document was refused; 3 if one is left out by a fault of Mizzen.
    """
    from mizzen.api import translate as translate_for
    from mizzen.cli.contained_answer import FilesAnswer
    from mizzen.cli.error_lines import print_error_line
    from mizzen.cli.loading import load, load_node
    from mizzen.cli.table_output import Output as Values
    from mizzen.cli.table_output import print_values
    from mizzen.config.diagnostics import Severity

    proxy = load_node(node)
    loaded = load([*config, *(more or ())], mesh_config)
    files = FilesAnswer(loaded, certificates_served=not no_certificates)
    resources = files.answer(lambda mesh: translate_for(mesh, proxy), lambda _: [proxy])
    content = resources.as_dict(show_secrets=show_secrets)
    if kind is not None:
        content = {kind.value: content[kind.value]}
    print_values(content, Values(output.value))
    for warning in proxy.warnings:
        print_error_line(f"warning: {node}: {warning}")
    diagnostics = dict.fromkeys((*loaded.diagnostics, *files.mesh.diagnostics, *resources.diagnostics))
    for diagnostic in diagnostics:
        if diagnostic.severity is not Severity.INFO:
            print_error_line(f"{diagnostic.severity}: {diagnostic}")
    files.exit_if_not_whole()
    if any(diagnostic.severity is Severity.ERROR for diagnostic in loaded.diagnostics):
        raise typer.Exit(1)
