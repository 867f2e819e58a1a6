"""`mizzen demo`: runs a whole mesh on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mizzen.cli.failure import Failure


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Send requests, say what came back; exit 0 only if all is right.")
    ] = False,
    port: Annotated[
        int | None, typer.Option("--port", help="The port of the shop (8080, or the next that is free).")
    ] = None,
    shop: Annotated[
        Path | None,
        typer.Option(
            "--shop", help="Keep the shop in this folder; made if it is not there.", metavar="FOLDER"
        ),
    ] = None,
) -> None:
    """Run a small shop, an Envoy for each of its workloads, an ingress and the control plane, on loopback."""
    import asyncio

    from mizzen import demo as shop_demo

    options = shop_demo.DemoOptions(shop=shop, port=port)
    try:
        code = asyncio.run(shop_demo.check(options) if check else shop_demo.run(options))
    except shop_demo.DemoError as error:
        raise Failure(str(error)) from error
    raise typer.Exit(code)
