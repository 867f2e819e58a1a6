"""The description of a service or workload in the served mesh: `mizzen describe` with a running server."""

from __future__ import annotations

from collections.abc import Callable
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
        sidecars, gateways = self._connected("sidecar"), self._connected("router")

        def client_at(address: str, *, gateway: bool) -> xds.ClientStatus | None:
            return (gateways.get(address) if gateway else None) or sidecars.get(address)

        if found.kind == "service":
            here = sum(client_at(each.address, gateway=each.gateway) is not None for each in found.endpoints)
            return "proxies", f"{here} of {len(found.endpoints)} endpoints have one that is connected"
        clients = (client_at(each, gateway=found.gateway) for each in found.addresses)
        client = next(filter(None, clients), None)
        if client is not None:
            return "proxy", self._state(client)
        seconds = self._seconds_gone(found.name)
        return "proxy", f"gone {seconds:.0f} s ago" if seconds is not None else "not connected"

    def _connected(self, kind: str) -> dict[str, xds.ClientStatus]:
        """Return the connected proxies of a type by their addresses: a gateway may stand at the address of a
        workload that it is not the proxy of."""
        return {
            address: client
            for client in self._clients.clients()
            if (proxy := self._control_plane.proxy_of(client.group)) is not None and proxy.type == kind
            for address in proxy.ip_addresses
        }

    def _state(self, client: xds.ClientStatus) -> str:
        behind = sum(
            (each := of_type.accepted.get(name)) is None or each.version != wanted.version
            for of_type in self._clients.client_resources(client.number).values()
            for name, wanted in of_type.wanted.items()
        )
        if not behind:
            return "connected; it has accepted all resources meant for it"
        return f"connected; it has not accepted {behind} of its resources (mizzen diff)"
