"""Clients of the control plane that mean no good: the Envoys wait for none of them."""

from __future__ import annotations

import asyncio
import functools
import sys

from mizzen.demo.child_process import ChildProcess
from mizzen.testing.waiting import eventually
from tests.chaos import mesh
from tests.chaos.attack import Attack
from tests.chaos.field import GRPC, START, Field, kill
from tests.chaos.hostile_clients import KINDS

_SERVICES = 200
_WAIT = 3.0
"""Longest time that a change may take while others mean no good."""


async def connect(kind: str, field: Field) -> None:
    """Let one kind of hostile clients connect, twice, while the Envoys are sent changes."""
    many = []
    for number in range(_SERVICES):
        name = f"many-{number}"
        route = {"route": [{"destination": {"host": name}}]}
        many += [mesh.service(name), mesh.virtual_service(name, [route])]
    field.write("many.yaml", mesh.text(*many))
    await field.change()
    await _connect(kind, field, field.left() / 2)
    await _connect(kind, field, field.left())


async def _connect(kind: str, field: Field, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    log = field.directory / "clients.log"
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.chaos.hostile_clients", kind, GRPC]
    child = await ChildProcess.start("hostile clients", command, log=log)

    async def attacking() -> bool:
        return "attacking" in child.last_words()

    begun = asyncio.create_task(eventually(attacking, "the hostile clients have begun", START))
    try:
        while loop.time() < end or not begun.done():
            await field.change(START)
            field.record.did("changes")
            await asyncio.sleep(0.05)
        await begun
        field.record.did("clients connected")
        if child.returncode is not None:
            field.record.fault(str(child.ended()))
    finally:
        begun.cancel()
        await kill(child)


ATTACKS = tuple(
    Attack(f"clients-{kind}", functools.partial(connect, kind), wait_bound=_WAIT, weight=0.6)
    for kind in KINDS
)
