"""The description of a service or workload in the served mesh: `mizzen describe` with a running server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from mizzen import xds
from mizzen.explain.describe.describe import describe
from mizzen.explain.describe.description import Description
from mizzen.server.control_plane import ControlPlane
from mizzen.server.proxy_tables import Clients


class LiveDescription:
    """Describes services and workloads of the mesh in force, and which of their proxies are connected.

    `seconds_gone` returns for how many seconds a proxy has been gone; None if it has not gone lately.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        clients: Clients,
        seconds_gone: Callable[[str], float | None],
    ) -> None:
        self._control_plane = control_plane
        self._clients = clients
        self._seconds_gone = seconds_gone

    async def describe(self, name: str) -> Description:
        """Return the description of the service, workload or Gateway `name`. Raises UnknownNameError."""
        diagnostics = self._control_plane.view.diagnostics
        found = await self._control_plane.ask(lambda _, mesh: describe(mesh, name, diagnostics))
        if found.kind == "gateway":
            return found
        return replace(found, facts=(*found.facts, self._proxies(found)))

    def _proxies(self, found: Description) -> tuple[str, str]:
        connected = dict(self._connected())
        if found.kind == "service":
            here = sum(each.address in connected for each in found.endpoints)
            return "proxies", f"{here} of {len(found.endpoints)} endpoints have one that is connected"
        client = next((connected[each] for each in found.addresses if each in connected), None)
        if client is not None:
            return "proxy", self._state(client)
        seconds = self._seconds_gone(found.name)
        return "proxy", f"gone {seconds:.0f} s ago" if seconds is not None else "not connected"

    def _connected(self) -> Iterator[tuple[str, xds.ClientStatus]]:
        for client in self._clients.clients():
            proxy = self._control_plane.proxy_of(client.group)
            if proxy is not None:
                yield from ((address, client) for address in proxy.ip_addresses)

    def _state(self, client: xds.ClientStatus) -> str:
        behind = sum(
            (each := of_type.accepted.get(name)) is None or each.version != wanted.version
            for of_type in self._clients.client_resources(client.number).values()
            for name, wanted in of_type.wanted.items()
        )
        if not behind:
            return "connected; it has accepted all resources meant for it"
        return f"connected; it has not accepted {behind} of its resources (mizzen diff)"
