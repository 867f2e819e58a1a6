"""`mizzen status`: how the proxies stand, and what is wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mizzen.cli.failure import Failure

if TYPE_CHECKING:
    from rich.console import Console


class Output(StrEnum):
    """The form of the status."""

    TABLE = "table"
    JSON = "json"


def status(
    admin: Annotated[
        str, typer.Option("--admin", help="The admin address of the server.", metavar="HOST:PORT")
    ] = "127.0.0.1:15014",
    output: Annotated[Output, typer.Option("-o", "--output", help="The form of the status.")] = Output.TABLE,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Stay, and show every second how it is.")
    ] = False,
    fail_on_rejected: Annotated[
        bool,
        typer.Option(
            "--fail-on-rejected", help="Exit 1 if a proxy rejected something or a document is refused."
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
        from rich.console import Console

        show(state, Console())
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
    try:
        state = answer.json()
    except ValueError:
        state = None
    if answer.status_code != 200 or not isinstance(state, dict) or "proxies" not in state:
        raise Failure(f"what answers at {address} is not a Mizzen server (HTTP {answer.status_code}); {hint}")
    return state


def _watch(address: str) -> None:
    import time

    from rich.console import Console

    console = Console()
    with console.screen(hide_cursor=True):
        while True:
            console.home()
            console.clear()
            try:
                show(fetch(address), console)
            except Failure as failure:
                console.print(str(failure), style="red", markup=False)
            time.sleep(1)


def show(state: dict[str, Any], console: Console) -> None:
    """Print the status for people: the proxies, then what was rejected, then what is refused."""
    from mizzen.cli.status_table import findings, headline, proxies, refused, rejections

    for part in (headline(state), proxies(state), rejections(state), refused(state), findings(state)):
        if part is not None:
            console.print(part)
