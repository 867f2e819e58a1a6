"""`mizzen status`: how the proxies stand, and what is wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mizzen.cli.failure import Failure

if TYPE_CHECKING:
    from rich.console import Group, RenderableType


_PIPED_WIDTH = 1000
"""In columns: wider than any line of the status that somebody would read."""


class Output(StrEnum):
    """The form of the status."""

    TABLE = "table"
    JSON = "json"


def status(
    admin: Annotated[
        str, typer.Option("--admin", help="The admin address of the server.", metavar="HOST:PORT")
    ] = "127.0.0.1:15014",
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
    address = _address(admin)
    if watch:
        _watch(address)
        return
    state = fetch(address)
    if output is Output.JSON:
        import json

        typer.echo(json.dumps(state, indent=2, ensure_ascii=False))
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


def _address(text: str) -> str:
    from mizzen.server.address import Address

    try:
        address = Address.parse(text.removeprefix("http://").rstrip("/"))
    except ValueError as error:
        raise Failure(f"--admin: {error}", exit_code=2) from error
    return str(Address("127.0.0.1", address.port) if address.host == "0.0.0.0" else address)  # noqa: S104


def fetch(address: str) -> dict[str, Any]:
    """Ask the server at the admin `address` for its status; raise Failure that says what is there instead."""
    import httpx

    hint = "is `mizzen serve` running, and is this its --admin-address?"
    try:
        # Never by way of a proxy of the environment: the server is on this machine or named on purpose.
        with httpx.Client(trust_env=False, timeout=10.0) as client:
            answer = client.get(f"http://{address}/status")
    except httpx.TimeoutException as error:
        raise Failure(f"the server at {address} did not answer within 10 s") from error
    except httpx.HTTPError as error:
        raise Failure(f"no server answers at {address} ({error}); {hint}") from error
    if answer.status_code == 421:  # it is one, which does not know itself under this name
        raise Failure(f"{address}: {answer.text.strip()}")
    try:
        state = answer.json()
    except ValueError:
        state = None
    if answer.status_code != 200 or not isinstance(state, dict) or "proxies" not in state:
        raise Failure(f"what answers at {address} is not a Mizzen server (HTTP {answer.status_code}); {hint}")
    return state


def plain(state: dict[str, Any]) -> str:
    """Return the status for a file or a program: no line broken for a terminal, no blanks at its end."""
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
    """Return the status for people: the proxies, then what was rejected, then what is refused."""
    from rich.console import Group

    from mizzen.cli.status_table import (
        findings,
        headline,
        missing_secrets,
        proxies,
        refused,
        refused_proxies,
        rejections,
        remarks,
        restored,
        waiting,
    )

    parts = [
        headline(state),
        waiting(state),
        proxies(state, width),
        rejections(state),
        refused_proxies(state),
        missing_secrets(state),
        remarks(state),
        refused(state),
        restored(state),
        findings(state),
    ]
    return Group(*(part for part in parts if part is not None))
