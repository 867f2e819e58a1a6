"""What the servers that are measured beside each other have in common."""

import resource

from mizzen import xds

PATH = ("envoy.service.discovery.v3.AggregatedDiscoveryService", "StreamAggregatedResources")
TYPE_URL = xds.type_urls.ENDPOINT

WARM_UP = 5
"""So many changes are made before any is measured."""


def payload(number: int) -> bytes:
    """About as many bytes as a small load assignment has."""
    return f"changed {number}".encode().ljust(300, b".")


def rss_bytes() -> int:
    """What this process holds in memory now."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize()
