"""The disk of the state directory is full."""

from __future__ import annotations

import os
import time

from mizzen.testing.waiting import eventually
from tests.chaos import mesh
from tests.chaos.attack import Attack
from tests.chaos.field import START, Field


async def fill_the_disk(field: Field) -> None:
    """Fill the disk of `--state` amid changes, kill -9, free it: changes go on, and the status tells."""
    await field.kill_control_plane()
    field.mount(field.state, "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs")
    await field.start_control_plane()
    filler = field.state / "filler"
    turn = 0
    while field.goes_on():
        await field.change()
        _fill(field, str(filler))
        # Of what has no room, some is still taken in place of older versions.
        services = mesh.text(*(mesh.service(f"more-{turn}-{number}") for number in range(300)))
        field.write("more.yaml", services)
        field.record.did("full disk")
        await field.change()
        await eventually(lambda: _says_error(field), "the status says that the state cannot be written")
        if turn % 2:
            await field.kill_control_plane()
            field.record.did("kill -9")
            began = time.monotonic()
            field.write_change()
            await field.start_control_plane(wait=False)
            await field.in_force(began, START)
        filler.unlink()
        await field.change()
        await eventually(lambda: _says_none(field), "the state is written again, and no error is left")
        turn += 1


def _fill(field: Field, filler: str) -> None:
    with open(filler, "wb", buffering=0) as file:  # noqa: PTH123
        while True:
            try:
                os.write(file.fileno(), bytes(4096))
            except OSError:
                return


async def _says_error(field: Field) -> bool:
    return bool((await field.status())["server"]["state_error"])


async def _says_none(field: Field) -> bool:
    return not await _says_error(field)


ATTACKS = (Attack("full-disk", fill_the_disk, wait_bound=START, arguments=("--state", "{state}")),)
