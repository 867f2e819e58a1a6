"""`mizzen agent`: runs beside an Envoy, and keeps the Envoy's key on its machine."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mizzen.cli.failure import Failure

if TYPE_CHECKING:
    from mizzen.agent import Agent

HANDED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def agent(
    ca_cert: Annotated[
        Path,
        typer.Option("--ca-cert", help="The roots that the control plane is trusted by.", metavar="FILE"),
    ],
    socket: Annotated[Path, typer.Option("--socket", help="Where its Envoy connects.", metavar="FILE")],
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="The token, read again whenever it is needed.", metavar="FILE"),
    ] = None,
    xds_address: Annotated[
        str, typer.Option("--xds-address", help="The control plane, for tokens.", metavar="HOST:PORT")
    ] = "localhost:15012",
    mutual_tls_address: Annotated[
        str | None,
        typer.Option(
            "--mutual-tls-address",
            help="The control plane, for certificates. [default: the port after --xds-address]",
            metavar="HOST:PORT",
            show_default=False,
        ),
    ] = None,
    command: Annotated[list[str] | None, typer.Argument(help="The Envoy to start, after --.")] = None,
) -> None:
    """Have a certificate signed for a key that never leaves this machine, and serve both to an Envoy.

    The Envoy is started if its command is given after --; the agent then ends with it, with its exit code.
    """
    import asyncio

    from mizzen.server.grpc_log import quieten

    # Must run before gRPC is imported. gRPC's fork() handlers are for children that use gRPC's Python
    # library.
    quieten(traces_handshakes=False)
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    from mizzen.agent import Agent, AgentError, AgentOptions
    from mizzen.identity.private_file import leave_no_core
    from mizzen.server.address import Address
    from mizzen.server.log_output import configure_logging

    try:
        address = Address.parse(xds_address)
        mutual = (
            Address.parse(mutual_tls_address) if mutual_tls_address else address.with_port(address.port + 1)
        )
    except ValueError as error:
        raise Failure(str(error), exit_code=2) from error
    leave_no_core()
    configure_logging("text", "info")
    try:
        made = Agent(AgentOptions(str(address), str(mutual), ca_cert, token_file, socket))
        code = asyncio.run(_run(made, command or []))
    except AgentError as error:
        raise Failure(str(error)) from error
    raise typer.Exit(code)


async def _run(agent: Agent, command: list[str]) -> int:
    """Serve until a signal comes, or until the command ends; return the exit code."""
    import asyncio

    from mizzen.demo.child_process import die_with

    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in HANDED_ON:
        loop.add_signal_handler(number, stopping.set)
    starting = asyncio.ensure_future(agent.start())
    told = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        return 0
    await starting
    keeping = asyncio.ensure_future(agent.keep())
    try:
        if not command:
            await asyncio.wait({keeping, told}, return_when=asyncio.FIRST_COMPLETED)
            return 0
        try:
            child = await asyncio.create_subprocess_exec(
                *command, process_group=0, preexec_fn=die_with(os.getpid())
            )
        except OSError as error:
            raise Failure(f"{command[0]}: {(error.strerror or str(error)).lower()}") from error
        for number in HANDED_ON:
            loop.add_signal_handler(number, child.send_signal, number)
        code = await child.wait()
        return code if code >= 0 else 128 - code
    finally:
        keeping.cancel()
        told.cancel()
        await agent.stop()
