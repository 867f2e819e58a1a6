"""An attack, and how it is carried out and judged."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import sandbox
from tests.chaos.field import BOUND, Field
from tests.chaos.record import Outcome

_HANGS = 60.0
"""An attack that takes so much longer than it was given has hung."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Something that happens to a running mesh, again and again until `field.goes_on()` says no.

    `carry_out` judges what always must hold; `run` asserts what must hold besides, or notes it as a fault.
    """

    name: str
    run: Callable[[Field], Awaitable[None]]
    wait_bound: float = BOUND
    """The worst wait for a change that is still well."""
    arguments: tuple[str, ...] = ()
    """Further arguments of `mizzen serve`."""
    fails_requests: bool = False
    """Whether requests fail by the nature of the attack. `run` judges them then."""
    weight: float = 1.0
    """How much time it gets, beside the others."""


async def carry_out(attack: Attack, seconds: float, logs: Path | None = None) -> Outcome:
    """Carry out an attack for so many seconds; return what came of it.

    No fault of the mesh raises an error. What the processes logged is copied to `logs`, if given.
    """
    directory = sandbox.WORK / attack.name
    field = Field(directory, seconds, attack.arguments)
    try:
        async with asyncio.timeout(seconds + _HANGS), field, field.load.running():
            try:
                await attack.run(field)
            finally:
                field.note_who_ended()
            await field.change(attack.wait_bound)
    except TimeoutError:
        field.record.fault(f"it still goes on {_HANGS:g} s after its time")
    except Exception as error:
        for each in _leaves(error):
            field.record.fault(f"{type(each).__name__}: {each}")
    _judge(attack, field)
    if logs is not None:
        _copy_logs(directory, logs / attack.name)
    shutil.rmtree(directory, ignore_errors=True)
    deeds = ", ".join(f"{deed} {times:,}×" for deed, times in field.record.deeds.items())
    worst = max(field.record.waits, default=None)
    return Outcome(
        attack.name, deeds, field.load.sent, len(field.load.failures), worst, tuple(field.record.faults)
    )


def _judge(attack: Attack, field: Field) -> None:
    """Note what never may happen, whatever the attack."""
    record = field.record
    if not attack.fails_requests:
        for reason, times in field.load.reasons().most_common():
            record.fault(f"{times} × {reason}")
    if not field.load.sent:
        record.fault("no request was sent")
    worst = max(record.waits, default=(0.0, ""))[0]
    if worst > attack.wait_bound:
        record.fault(f"a change took {worst:.1f} s, more than {attack.wait_bound:g} s")
    log = field.log() if (field.directory / "control-plane.log").exists() else ""
    if (at := log.find("Traceback (most recent call last)")) >= 0:
        record.fault(f"a traceback in the log of the control plane: {log[at:].strip().splitlines()[-1]}")


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]


def _copy_logs(directory: Path, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for log in directory.glob("*.log"):
        shutil.copy(log, to)


class Clock:
    """Shares what is left of the time of a run among the attacks that are left."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def share(self, attacks: Sequence[Attack]) -> float:
        """Return the seconds for the next of the attacks that are left."""
        around = _AROUND * len(attacks)
        left = self._end - time.monotonic() - around
        return max(left * attacks[0].weight / sum(attack.weight for attack in attacks), 1.0)


_AROUND = 6.0
"""Seconds to start and end the processes of an attack."""
