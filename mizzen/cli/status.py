"""`mizzen status`: shows the state of the proxies, and what is wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mizzen.cli.admin_client import ADMIN, admin_address, ask
from mizzen.cli.failure import Failure
from mizzen.cli.options import AdminAddress

if TYPE_CHECKING:
    from rich.console import Group, RenderableType


_PIPED_WIDTH = 1000
"""In columns; wider than any line of the status."""


class Output(StrEnum):
    """The form of the status."""

    TABLE = "table"
    JSON = "json"


def status(
    admin: AdminAddress = ADMIN,
    output: Annotated[Output, typer.Option("-o", "--output", help="The form of the status.")] = Output.TABLE,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and look every second.")] = False,
    fail_on_rejected: Annotated[
        bool,
        typer.Option(
            "--fail-on-rejected", help="Exit 1 if a proxy rejects something or a document is refused."
        ),
    ] = False,
) -> None:
    """Show what each proxy has accepted, what it rejected and why, and which documents are refused."""
    address = admin_address(admin)
    if watch:
        _watch(address)
        return
    state = fetch(address)
    if output is Output.JSON:
        from mizzen.cli.table_output import print_json

        print_json(state)
    else:
        import sys

        from rich.console import Console

        if sys.stdout.isatty():
            console = Console()
            console.print(render(state, console.width))
        else:
            typer.echo(plain(state), nl=False)
    if fail_on_rejected and (state["rejections"] or state["configuration"]["refused"]):
        raise typer.Exit(1)


def fetch(address: str) -> dict[str, Any]:
    """Return the status of the server at the admin `address`. Raises Failure if no Mizzen server answers."""
    return ask(address, "/status", "proxies")


def plain(state: dict[str, Any]) -> str:
    """Return the status for a file or a program: long lines are not broken, and end without blanks."""
    import io

    from rich.console import Console

    console = Console(file=io.StringIO(), width=_PIPED_WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(render(state, console.width), soft_wrap=False)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _watch(address: str) -> None:
    import time

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                shown: RenderableType = render(fetch(address), console.width)
            except Failure as failure:
                shown = Text(str(failure), style="red")
            live.update(shown, refresh=True)
            time.sleep(1)


def render(state: dict[str, Any], width: int) -> Group:
    """Return the status for people: the proxies, then rejected resources, then refused documents."""
    from rich.console import Group

    from mizzen.cli.certificate_table import certificates
    from mizzen.cli.status_table import (
        diagnostics,
        faults,
        gone_proxies,
        headline,
        missing_secrets,
        proxies,
        proxy_warnings,
        refused,
        refused_proxies,
        rejections,
        restored,
        waiting,
    )
    from mizzen.cli.table_output import printable_values

    state = printable_values(state)
    parts = [
        headline(state),
        waiting(state),
        faults(state),
        proxies(state, width),
        rejections(state),
        gone_proxies(state),
        refused_proxies(state),
        missing_secrets(state),
        certificates(state),
        proxy_warnings(state),
        refused(state),
        restored(state),
        diagnostics(state),
    ]
    return Group(*(part for part in parts if part is not None))
