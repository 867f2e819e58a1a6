"""`make chaos`: attack a running Mizzen and its Envoys, and say what came of it.

    python -m tests.chaos [--seconds N] [--logs DIR] [ATTACK ...]

Exit code 0 if everything holds, 1 if something broke, 2 if it cannot run here.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from rich.console import Console

from tests.chaos import sandbox
from tests.chaos.attack import Attack, Clock, carry_out
from tests.chaos.attacks import bursts, clients, disk, documents, files, network, processes
from tests.chaos.record import Outcome, table

_ROOMS = (processes, files, bursts, documents, clients, network, disk)
ATTACKS: dict[str, Attack] = {attack.name: attack for room in _ROOMS for attack in room.ATTACKS}


def main() -> int:
    """Enter the sandbox, attack, and print."""
    options = _options()
    if not options.inside:
        if reason := sandbox.why_not():
            print(f"chaos: {reason}", file=sys.stderr)
            return 2
        return sandbox.run_inside("tests.chaos", ["--inside", *sys.argv[1:]])
    sandbox.prepare()
    names = options.attacks or list(ATTACKS)
    outcomes: list[Outcome] = []
    try:
        asyncio.run(_attack([ATTACKS[name] for name in names], options.seconds, options.logs, outcomes))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\ninterrupted", flush=True)
    if outcomes:
        # Piped, it is as wide as a page of a log.
        Console(width=None if sys.stdout.isatty() else 120).print(table(outcomes))
    broken = [outcome.name for outcome in outcomes if outcome.faults]
    left = len(names) - len(outcomes)
    print(f"{len(outcomes) - len(broken)} hold, {len(broken)} broken, {left} not done", flush=True)
    return 1 if broken or left else 0


async def _attack(attacks: list[Attack], seconds: float, logs: Path | None, outcomes: list[Outcome]) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    clock = Clock(seconds)
    for done, attack in enumerate(attacks):
        share = clock.share(attacks[done:])
        print(f"{done + 1}/{len(attacks)} {attack.name} for {share:.0f} s ...", flush=True)
        outcomes.append(await carry_out(attack, share, logs))
        print(f"  {outcomes[-1].line()}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Attack a running Mizzen.")
    parser.add_argument("--seconds", type=float, default=570.0, help="for all attacks together (570)")
    parser.add_argument("--logs", type=Path, help="keep the logs of all processes in this folder")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"of: {', '.join(ATTACKS)}")
    options = parser.parse_args()
    if unknown := [name for name in options.attacks if name not in ATTACKS]:
        parser.error(f"no attack is named {', '.join(unknown)}; there are {', '.join(ATTACKS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
