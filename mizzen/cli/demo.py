"""`mizzen demo`: a whole mesh on this machine."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Send requests, say what came back, and exit 0 only if all is right.")
    ] = False,
) -> None:
    """Run a small shop, an Envoy for each of its workloads, an ingress and the control plane, on loopback."""
    import asyncio

    from mizzen import demo as mesh_demo

    options = mesh_demo.Options()
    code = asyncio.run(mesh_demo.check(options) if check else mesh_demo.run(options))
    raise typer.Exit(code)
