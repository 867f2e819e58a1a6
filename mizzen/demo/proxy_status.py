"""The status of the shop's proxies, from the JSON of the control plane's `/status` (docs/operations.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from mizzen.demo.shop import Shop
from mizzen.demo.topology import NAMESPACE

SERVICES = ("CDS", "EDS", "LDS", "RDS")
"""The discovery services that the proxies of the shop use."""


@dataclass(frozen=True, slots=True)
class MeshStatus:
    """What each proxy (by name) has accepted, by discovery service, and the problems.

    Problems are documents with errors, and resources that an Envoy rejected.
    """

    proxies: Mapping[str, Mapping[str, str]]
    problems: tuple[str, ...]


async def mesh_status(shop: Shop) -> MeshStatus | None:
    """Ask the control plane, or return None if it does not answer."""
    try:
        answer = await shop.client.get(f"http://{shop.topology.control_plane_admin}/status", timeout=1.0)
        return parse_status(answer.raise_for_status().json())
    except (httpx.HTTPError, ValueError):
        return None


def parse_status(status: Mapping[str, Any]) -> MeshStatus:
    """Read the JSON of `/status`."""
    proxies = {
        proxy["id"].removesuffix(f".{NAMESPACE}"): {
            service: held["state"] for service, held in proxy["types"].items()
        }
        for proxy in status["proxies"]
    }
    return MeshStatus(proxies, tuple(_problems(status)))


def _problems(status: Mapping[str, Any]) -> Iterator[str]:
    for diagnostic in status["configuration"]["diagnostics"]:
        if diagnostic["severity"] == "error":
            path = f"{diagnostic['path']}: " if diagnostic["path"] else ""
            yield f"{diagnostic['file']}:{diagnostic['line']}: {path}{diagnostic['message']}"
    for rejection in status["rejections"]:
        places = ", ".join(place for resource in rejection["resources"] for place in resource["origins"])
        yield (
            f"{rejection['proxy']} rejected {rejection['type']}: {rejection['message']}"
            + (f" (from {places})" if places else "")
        )
