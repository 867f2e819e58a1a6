"""What the servers that are measured beside each other have in common."""

import gc
import resource
import time
from collections.abc import Awaitable, Callable

from mizzen import xds
from mizzen.server.garbage import Garbage

PATH = ("envoy.service.discovery.v3.AggregatedDiscoveryService", "StreamAggregatedResources")
TYPE_URL = xds.type_urls.ENDPOINT

WARM_UP = 5
"""So many changes are made before any is measured."""


def payload(number: int) -> bytes:
    """About as many bytes as a small load assignment has."""
    return f"changed {number}".encode().ljust(300, b".")


async def make_changes(change: Callable[[int], Awaitable[float]], pushes: int, idle: int) -> None:
    """Make changes, and print for the parent what each took and cost, and `idle`, the memory of the streams.
    The cycle collector has the settings of `mizzen serve`.

    `change` returns the seconds until the last client has accepted it.
    """
    gc.collect()
    Garbage().settle()
    cpu = 0.0
    for number in range(pushes + WARM_UP):
        before = time.process_time()
        seconds = await change(number + 1)
        if number >= WARM_UP:
            cpu += time.process_time() - before
            print(f"push {seconds}", flush=True)
    print(f"cpu {cpu / pushes}", flush=True)
    print(f"memory {idle}", flush=True)


def rss_bytes() -> int:
    """What this process holds in memory now."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize()
