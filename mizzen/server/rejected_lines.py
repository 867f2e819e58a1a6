"""Which lines of YAML an Envoy's refusal means.

They are looked for when an Envoy refuses something, and never on the way of a change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any, Final, Protocol

import structlog

from mizzen import xds
from mizzen.config.diagnostics import Origin
from mizzen.explain.origins import PartOrigins, Places
from mizzen.explain.suspect_parts import suspect_places
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation

_REMEMBERED: Final = 10_000
"""The lines of so many refused resources are remembered."""

_WAIT_SECONDS: Final = 1.0
"""So long whoever asks for the status waits for lines; then it names those of whole resources."""


class Asked(Protocol):
    """What is needed of `ControlPlane`."""

    def proxy_of(self, key: Hashable) -> Proxy | None:
        """Return the proxy of a group."""

    def ask(self, question: Callable[..., Any]) -> Awaitable[Any]:
        """Return what the question finds out in the worker."""


class RejectedLines:
    """Remembers, for each refused version of a resource, the lines of what differs from the accepted one."""

    def __init__(self, control_plane: Asked) -> None:
        self._control_plane = control_plane
        self._known: OrderedDict[xds.Resource, dict[xds.Resource | None, Places]] = OrderedDict()
        self._log = structlog.get_logger("mizzen.server")

    def of(self, refused: xds.Resource, accepted: xds.Resource | None) -> Places:
        """Return the lines of the parts that may be to blame, of the whole resource if no more is known.

        Who accepted no version of it is told what was found for others, who did.
        """
        known = self._known.get(refused, {})
        found = known.get(accepted, ())
        if accepted is None:
            found = min(filter(None, known.values()), key=len, default=())
        return found or tuple(origin for origin in refused.origins if isinstance(origin, Origin))

    async def find(
        self, group: Hashable, refused: xds.Resource, accepted: xds.Resource | None, words: str
    ) -> None:
        """Find the lines of a resource that a client of `group` refused in these words."""
        proxy = self._control_plane.proxy_of(group)
        if proxy is None or accepted in self._known.get(refused, {}):
            return

        def found(translation_of: Callable[[Proxy], Translation], _: Mesh) -> Places | None:
            origins = PartOrigins(translation_of(proxy), proxy)
            # A mesh that is newer than the refusal tells other lines. It is being sent, and is answered anew.
            return suspect_places(refused, accepted, origins, words) if origins.is_current(refused) else None

        try:
            places = await self._control_plane.ask(found)
        except Exception:
            self._log.exception("the lines of a rejection are not known: a fault of Mizzen, please report it")
            places = ()
        if places is not None:
            self._known.setdefault(refused, {})[accepted] = places
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)

    async def find_all(self, clients: Iterable[xds.ClientStatus]) -> None:
        """Find the lines of all that is refused now and not known yet. Does not wait for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_SECONDS):
                for client in clients:
                    for entry in client.rejected:
                        await self.find(client.group, entry.resource, entry.replacement, entry.message)
