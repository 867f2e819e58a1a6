"""The lines of YAML to blame for a rejection.

They are searched when an Envoy rejects a resource, never while a change is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any, Final, Protocol

from mizzen import xds
from mizzen.config.diagnostics import Origin
from mizzen.explain.origins import PartOrigins, Places
from mizzen.explain.suspect_parts import suspect_places
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.server.faults import Faults
from mizzen.translator.translation import Translation

_REMEMBERED: Final = 10_000
"""Most rejected resources whose lines are cached."""

_WAIT_SECONDS: Final = 1.0
"""Longest time, in seconds, that the status waits for lines; then it shows those of whole resources."""


class Asked(Protocol):
    """The part of `ControlPlane` that the search uses."""

    def proxy_of(self, key: Hashable) -> Proxy | None:
        """Return the proxy of a group."""

    def ask(self, question: Callable[..., Any]) -> Awaitable[Any]:
        """Call the question in the worker, and return its result."""


class RejectedLines:
    """Caches, for each rejected version of a resource, the lines of its differences from the accepted one."""

    def __init__(self, control_plane: Asked, faults: Faults) -> None:
        self._control_plane = control_plane
        self._faults = faults
        self._known: OrderedDict[xds.Resource, dict[xds.Resource | None, Places]] = OrderedDict()

    def of(self, rejected: xds.Resource, accepted: xds.Resource | None) -> Places:
        """Return the lines of the parts that may be to blame; of the whole resource if these are not known.

        For a client without an accepted version, return the lines that were found for other clients.
        """
        known = self._known.get(rejected, {})
        found = known.get(accepted, ())
        if accepted is None:
            found = min(filter(None, known.values()), key=len, default=())
        return found or tuple(origin for origin in rejected.origins if isinstance(origin, Origin))

    async def find(
        self, group: Hashable, rejected: xds.Resource, accepted: xds.Resource | None, words: str
    ) -> None:
        """Find the lines of a resource that a client of `group` rejected with these words."""
        proxy = self._control_plane.proxy_of(group)
        if proxy is None or accepted in self._known.get(rejected, {}):
            return

        def found(translation_of: Callable[[Proxy], Translation], _: Mesh) -> Places | None:
            origins = PartOrigins(translation_of(proxy), proxy)
            # A mesh that is newer than the rejection has other lines. It is being sent and will be answered.
            return (
                suspect_places(rejected, accepted, origins, words) if origins.is_current(rejected) else None
            )

        try:
            places = await self._control_plane.ask(found)
        except Exception:
            self._faults.note("the lines of a rejection could not be found", exc_info=True)
            places = ()
        if places is not None:
            self._known.setdefault(rejected, {})[accepted] = places
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    async def find_all(self, clients: Iterable[xds.ClientStatus]) -> None:
        """Find the missing lines of all resources that are rejected now, within `_WAIT_SECONDS`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_SECONDS):
                for client in clients:
                    for entry in client.rejected:
                        await self.find(client.group, entry.resource, entry.replacement, entry.message)
