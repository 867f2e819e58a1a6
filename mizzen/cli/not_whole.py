"""How a command tells that a check failed by a fault of Mizzen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mizzen.mesh.analysis import Fault

NOT_WHOLE = 3
"""The exit code if a check failed, so that there may be more errors than are shown."""


def exit_if_not_whole(faults: Iterable[Fault]) -> None:
    """Tell each fault once on standard error; end the command with `NOT_WHOLE` if there is one."""
    told = dict.fromkeys(faults)
    for fault in told:
        typer.echo(
            f"mizzen: a check failed, and what it would say is missing: {fault.part}: {fault.reason}; "
            "this is a fault of Mizzen, please report it",
            err=True,
        )
    if told:
        raise typer.Exit(NOT_WHOLE)
