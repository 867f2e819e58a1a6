"""Processes are killed, stopped and ended."""

from __future__ import annotations

import asyncio
import random
import signal
import time

from tests.chaos.attack import Attack
from tests.chaos.field import START, Field


async def kill_the_control_plane(field: Field) -> None:
    """kill -9 amid changes, and amid the start; what was saved meanwhile is in force after the restart."""
    chance = random.Random(1)
    while field.goes_on():
        async with field.changing(0.02):
            await asyncio.sleep(chance.uniform(0.1, 1.0))
            await field.kill_control_plane()
            field.record.did("kill -9")
        if chance.random() < 0.3:
            await field.start_control_plane(wait=False)
            await asyncio.sleep(chance.uniform(0.0, 0.8))
            await field.kill_control_plane()
            field.record.did("kill -9 at start")
        field.write_change()
        began = time.monotonic()
        await field.start_control_plane(wait=False)
        await field.in_force(began, START)


async def kill_an_envoy(field: Field) -> None:
    """kill -9 an Envoy; started again, it serves again, and the other one never notices."""
    dead: list[tuple[str, float, float]] = []
    turn = 0
    while field.goes_on():
        name = ("sidecar", "gateway")[turn % 2]
        turn += 1
        began = time.monotonic()
        await field.kill_envoy(name)
        field.record.did("kill -9")
        await field.start_envoy(name)
        await field.in_force(began, START)
        dead.append((name, began, time.monotonic()))
        await field.change()
    for name in ("sidecar", "gateway"):
        spans = [(start, end) for each, start, end in dead if each == name]
        for reason, times in field.load.reasons(spans).items():
            if reason.startswith(name):
                field.record.fault(f"{times} × {reason}, while it ran")


async def stop_the_control_plane(field: Field) -> None:
    """SIGSTOP for seconds: requests go on, and what was saved meanwhile is in force after SIGCONT."""
    chance = random.Random(2)
    while field.goes_on():
        async with field.changing(0.02):
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            field.signal_control_plane(signal.SIGSTOP)
            field.record.did("SIGSTOP")
            await asyncio.sleep(chance.uniform(0.5, 3.0))
        field.write_change()
        began = time.monotonic()
        field.signal_control_plane(signal.SIGCONT)
        await field.in_force(began)


async def end_the_control_plane(field: Field) -> None:
    """SIGTERM amid a push: it ends by itself with exit code 0, and its successor goes on."""
    chance = random.Random(3)
    while field.goes_on():
        async with field.changing(0.005):
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            field.signal_control_plane(signal.SIGTERM)
            field.record.did("SIGTERM")
            assert field.control_plane is not None
            began = time.monotonic()
            code = await asyncio.wait_for(field.control_plane.wait(), START)
            assert code == 0, f"SIGTERM ends the control plane with exit code {code}"
            took = time.monotonic() - began
            assert took < START / 2, f"the control plane took {took:.1f} s to end"
        field.write_change()
        began = time.monotonic()
        await field.start_control_plane(wait=False)
        await field.in_force(began, START)


ATTACKS = (
    Attack(
        "kill-control-plane",
        kill_the_control_plane,
        wait_bound=START,
        arguments=("--state", "{state}"),
        weight=2.0,
    ),
    Attack("kill-envoy", kill_an_envoy, wait_bound=START, fails_requests=True),
    Attack("stop-control-plane", stop_the_control_plane),
    Attack("end-control-plane", end_the_control_plane, wait_bound=START),
)
