"""`mizzen routes`, `clusters`, `listeners`, `endpoints`, `secrets`: show what a proxy is sent, as tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mizzen.cli.admin_client import ADMIN, admin_address, ask
from mizzen.cli.failure import Failure
from mizzen.cli.options import (
    AdminAddress,
    FilesAsked,
    MeshConfigPath,
    MorePaths,
    NoCertificates,
    NodeOfFiles,
)
from mizzen.cli.proxy_of_files import declared_proxy, files_answer
from mizzen.cli.table_output import Output, print_rows

if TYPE_CHECKING:
    from mizzen.cli.contained_answer import FilesAnswer
    from mizzen.explain.tables.row import Filter, Row
    from mizzen.mesh.snapshot import Mesh

_SHOWN = {
    "clusters": "the clusters: services, ports, subsets, TLS",
    "endpoints": "the endpoints of its clusters, with health, priority, locality, weight",
    "listeners": "the listeners, a row for each filter chain",
    "routes": "the routes: domain, match, destination, weight",
    "secrets": "the certificates and authorities that it asks for; never a key",
}


def table_command(kind: str) -> Callable[..., None]:
    """Return the command that shows the table of a kind."""

    def command(
        proxy: Annotated[
            str,
            typer.Argument(
                help="The proxy, as in `mizzen status`; with --config a workload or Gateway.", metavar="PROXY"
            ),
        ] = "",
        config: FilesAsked = None,
        more: MorePaths = None,
        node: NodeOfFiles = None,
        host: Annotated[
            str, typer.Option("--host", help="Only what is for a host, as a client names it.", metavar="NAME")
        ] = "",
        fqdn: Annotated[
            str, typer.Option("--fqdn", help="Only what leads to a service: reviews.default.", metavar="HOST")
        ] = "",
        port: Annotated[int, typer.Option("--port", help="Only a port.", metavar="NUMBER")] = 0,
        subset: Annotated[str, typer.Option("--subset", help="Only a subset.", metavar="NAME")] = "",
        direction: Annotated[
            str, typer.Option("--direction", help="Only inbound or outbound.", metavar="DIRECTION")
        ] = "",
        mesh_config: MeshConfigPath = None,
        no_certificates: NoCertificates = False,
        admin: AdminAddress = ADMIN,
        output: Annotated[Output, typer.Option("-o", "--output", help="The form.")] = Output.TABLE,
    ) -> None:
        from mizzen.explain.tables.row import Filter

        if direction not in ("", "inbound", "outbound"):
            raise Failure(f'--direction: "{direction}" is none; write inbound or outbound', exit_code=2)
        wanted = Filter(host, fqdn, port, subset, direction)
        paths = list(config or ())
        if paths and node is not None and proxy:
            # After --config a b, the second path arrives as the name of the proxy.
            paths.append(Path(proxy))
        paths += more or ()
        if paths:
            files = files_answer(paths, mesh_config, certificates_served=not no_certificates)
            found = _of_files(kind, files, proxy, node, wanted)
            print_rows(found, output, kind)
            files.exit_if_not_whole()
            return
        if proxy:
            found = _of_server(kind, proxy, admin, wanted)
        else:
            raise Failure(f"say which proxy: mizzen {kind} reviews-v1.default, or --config with --node", 2)
        print_rows(found, output, kind)

    command.__doc__ = (
        f"Show what a proxy is sent: {_SHOWN[kind]}; and the lines it comes from.\n\n"
        "From a running server it shows what the proxy was sent, and marks what it has not accepted."
    )
    return command


def diff(
    proxy: Annotated[str, typer.Argument(help="The proxy, as in `mizzen status`.", metavar="PROXY")],
    admin: AdminAddress = ADMIN,
    output: Annotated[Output, typer.Option("-o", "--output", help="The form.")] = Output.TABLE,
) -> None:
    """Show what differs between the resources that a connected proxy has accepted and those meant for it.

    Exit 1 if there is a difference.
    """
    from mizzen.explain.tables.row import Row

    answer = ask(admin_address(admin), "/debug/diff", "rows", {"proxy": proxy})
    rows = [Row.from_dict(values) for values in answer["rows"]]
    print_rows(rows, output, f"differences: {answer['proxy']} has accepted all resources meant for it")
    if rows:
        raise typer.Exit(1)


def _of_server(kind: str, proxy: str, admin: str, wanted: Filter) -> list[Row]:
    from mizzen.explain.tables.row import Row

    answer = ask(admin_address(admin), "/debug/table", "rows", {"proxy": proxy, "kind": kind}, files=True)
    rows = [Row.from_dict(values) for values in answer["rows"]]
    return [row for row in rows if wanted.lets_through(row)]


def _of_files(kind: str, files: FilesAnswer, proxy: str, node: Path | None, wanted: Filter) -> list[Row]:
    from mizzen.explain.missing_secrets import MissingSecrets
    from mizzen.explain.origins import PartOrigins
    from mizzen.explain.tables.rows import rows
    from mizzen.explain.tables.sent import Sent
    from mizzen.translator.translate_result import TYPE_URLS
    from mizzen.translator.translation import Translation

    if not proxy and node is None:
        raise Failure("say which proxy: a workload or Gateway, or --node FILE", exit_code=2)

    def made(mesh: Mesh) -> list[Row]:
        found = declared_proxy(mesh, proxy, node)
        translation = Translation(mesh)
        snapshot = translation.snapshot(found)
        sent = {type_url: snapshot.collection(type_url).resources for type_url in TYPE_URLS.values()}
        missing = MissingSecrets(translation, found)
        return list(rows(kind, Sent(sent, PartOrigins(translation, found), missing=missing), wanted))

    return files.answer(made, lambda mesh: [declared_proxy(mesh, proxy, node)])
