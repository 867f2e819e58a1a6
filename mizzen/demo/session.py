"""A demonstration from start to end: `run` until Ctrl-C, or `check` until all checks are made."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from mizzen.demo.checks import all_checks, perform, report
from mizzen.demo.errors import DemoError, first_error_alone
from mizzen.demo.keys import keys, listens
from mizzen.demo.live_table import picture
from mizzen.demo.observation import Window, observe
from mizzen.demo.options import DemoOptions
from mizzen.demo.outage import Outage
from mizzen.demo.proxy_status import mesh_status
from mizzen.demo.shop import Progress, Shop, open_shop
from mizzen.demo.traffic import Visitors

REFRESH_SECONDS = 0.5
PLAIN_REFRESH_SECONDS = 5.0
"""How often the picture is printed where it cannot be redrawn: into a file or a pipe."""

MOST_EVENTS = 3
"""Maximum lines about processes that ended, below the table."""

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run(options: DemoOptions) -> int:
    """Run the shop and show it until Ctrl-C; return 0, or 1 after a failure that stderr reports."""
    return await _guarded(lambda console: _show(options, console))


async def check(options: DemoOptions) -> int:
    """Run the shop, check it with real requests and print the table; return 0 only if every check passed."""
    return await _guarded(lambda console: _check(options, console))


async def _guarded(work: Callable[[Console], Awaitable[int]]) -> int:
    console = Console(soft_wrap=not sys.stdout.isatty())
    errors = Console(stderr=True, soft_wrap=True)
    with _ended_by_signals():
        try:
            return await work(console)
        except DemoError as error:
            for line in (str(error), *getattr(error, "__notes__", ())):
                errors.print(line, style="red", markup=False, highlight=False)
            return 1
        except asyncio.CancelledError:
            console.print("\nEnded, and every process with it.")
            return 0


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let the first ending signal cancel this task, which then cleans up; a second one exits at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    asked = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + number)  # the kernel kills the children with their parent
        asked = True
        task.cancel()

    for number in ENDING_SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in ENDING_SIGNALS:
            loop.remove_signal_handler(number)


def _progress(console: Console) -> Progress:
    return lambda done: console.print(f"[green]✓[/green] {done}", highlight=False)


async def _show(options: DemoOptions, console: Console) -> int:
    console.print("Starting a mesh on this machine...")
    async with open_shop(options, _progress(console)) as shop:
        visitors = Visitors(shop.client, f"{shop.topology.url}/productpage", options.rate)
        outage = Outage(shop.control_plane, visitors)
        with keys({"k": outage.toggle}):
            async with first_error_alone(), asyncio.TaskGroup() as group:
                group.create_task(shop.keep())
                group.create_task(visitors.run())
                group.create_task(_draw(shop, visitors, outage, console))
    return 0


async def _draw(shop: Shop, visitors: Visitors, outage: Outage, console: Console) -> None:
    window = Window()
    has_keys = listens()

    async def look() -> object:
        observation, status = await asyncio.gather(observe(shop), mesh_status(shop))
        window.add(observation)
        events = [*shop.events[-MOST_EVENTS:], *filter(None, [outage.look()])]
        return picture(shop.topology, shop.rules, window, visitors, status, events, has_keys=has_keys)

    if not console.is_terminal:
        while True:
            with console.capture() as drawn:
                console.print(await look())
            print("\n".join(line.rstrip() for line in drawn.get().splitlines()), flush=True)
            await asyncio.sleep(PLAIN_REFRESH_SECONDS)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(await look(), refresh=True)  # type: ignore[arg-type]
            await asyncio.sleep(REFRESH_SECONDS)


async def _check(options: DemoOptions, console: Console) -> int:
    console.print("Starting a mesh on this machine...")
    async with open_shop(options, _progress(console)) as shop:
        checks = all_checks(shop)
        outcomes = []
        async with first_error_alone(), asyncio.TaskGroup() as group:
            keeping = group.create_task(shop.keep())
            async for outcome in perform(checks):
                outcomes.append(outcome)
                if console.is_terminal:
                    console.print(f"{len(outcomes)} of {len(checks)} checks", end="\r")
            keeping.cancel()
    failed = [outcome for outcome in outcomes if not outcome.result.passed]
    console.print(report(outcomes))
    console.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} as expected")
    return 1 if failed else 0
