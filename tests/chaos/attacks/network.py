"""The network between the Envoys and the control plane loses packets, is slow, breaks and comes back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from tests.chaos import mesh, sandbox
from tests.chaos.attack import Attack
from tests.chaos.field import Field

_SERVICES = 300
_HEALED = 30.0
"""Envoy comes back to a lost control plane after up to 30 s, and TCP repeats a lost packet as late."""
_Effect = tuple[Callable[[], None], Callable[[], None]]


def _iptables(*rules: tuple[str, ...]) -> _Effect:
    def change(how: str) -> None:
        for chain, *rule in rules:
            sandbox.run("iptables", "-w", how, chain, *rule)

    return lambda: change("-A"), lambda: change("-D")


def _lossy() -> _Effect:
    """Every fifth packet is lost, in both directions."""
    chance = ("-m", "statistic", "--mode", "random", "--probability", "0.2", "-j", "DROP")
    return _iptables(("OUTPUT", "-o", "xds", *chance), ("INPUT", "-i", "xds", *chance))


def _thin() -> _Effect:
    """The line to the Envoys takes 250 kbit/s, with as much delay as comes of it."""
    line = ("-n", sandbox.PLANE, "qdisc", "add", "dev", "xds", "root", "tbf")
    return (
        lambda: sandbox.run("tc", *line, "rate", "250kbit", "burst", "4kb", "latency", "400ms"),
        lambda: sandbox.run("tc", "-n", sandbox.PLANE, "qdisc", "del", "dev", "xds", "root"),
    )


def _parted() -> _Effect:
    """Nothing gets through, and nobody is told."""
    return (
        lambda: sandbox.run("ip", "link", "set", "xds", "down"),
        lambda: sandbox.run("ip", "link", "set", "xds", "up"),
    )


def _cut() -> _Effect:
    """Every packet of the control plane is answered by a reset: responses break off in the middle."""
    return _iptables(("INPUT", "-i", "xds", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"))


_FAULTS = {"lossy": (_lossy, 5.0), "thin": (_thin, 4.0), "parted": (_parted, 5.0), "cut": (_cut, 0.2)}


async def disturb_the_network(field: Field) -> None:
    """Loss, a thin line, a parted network, resets amid responses, while everything changes."""
    chance = random.Random(8)
    turn = 0
    while field.goes_on():
        name, (make, longest) = list(_FAULTS.items())[turn % len(_FAULTS)]
        turn += 1
        disturb, heal = make()
        # Large responses, so that they are on their way when it happens.
        _write_many_services(field, turn)
        disturb()
        field.record.did(name)
        try:
            async with field.changing(0.1):
                await asyncio.sleep(chance.uniform(longest / 4, longest))
        finally:
            heal()
        field.write_change()
        await field.in_force(time.monotonic(), _HEALED)


def _write_many_services(field: Field, turn: int) -> None:
    """Save many services with a route each that changes every time."""
    documents = []
    for number in range(_SERVICES):
        route = {"route": [{"destination": {"host": "reviews"}}], "timeout": f"{turn}s"}
        name = f"many-{number}"
        documents += [mesh.service(name), mesh.virtual_service(name, [route])]
    field.write("many.yaml", mesh.text(*documents))


ATTACKS = (Attack("network", disturb_the_network, wait_bound=_HEALED, weight=2.0),)
