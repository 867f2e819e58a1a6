"""The description of a service or workload in the served mesh: `mizzen describe` with a running server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace

from mizzen import xds
from mizzen.explain.describe.describe import describe
from mizzen.explain.describe.description import Description
from mizzen.mesh.snapshot import Mesh
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
        found, workloads = await self._control_plane.ask(
            lambda _, mesh: (describe(mesh, name, diagnostics), _names_by_address(mesh))
        )
        if found.kind == "gateway":
            return found
        return replace(found, facts=(*found.facts, self._proxies(found, workloads)))

    def _proxies(self, found: Description, workloads: Mapping[str, Set[str]]) -> tuple[str, str]:
        sidecars, gateways = self._connected("sidecar"), self._connected("router")

        def client_at(address: str, name: str, *, gateway: bool) -> xds.ClientStatus | None:
            others = workloads.get(address, frozenset()) - {name}
            for clients in (gateways, sidecars) if gateway else (sidecars,):
                here = clients.get(address, {})
                found = [client for id_, client in here.items() if id_ not in others]
                if found:
                    return here.get(name, found[0])
            return None

        if found.kind == "service":
            here = sum(
                client_at(each.address, f"{each.workload}.{found.namespace}", gateway=each.gateway)
                is not None
                for each in found.endpoints
            )
            return "proxies", f"{here} of {len(found.endpoints)} endpoints have one that is connected"
        clients = (client_at(each, found.name, gateway=found.gateway) for each in found.addresses)
        client = next(filter(None, clients), None)
        if client is not None:
            return "proxy", self._state(client)
        seconds = self._seconds_gone(found.name)
        return "proxy", f"gone {seconds:.0f} s ago" if seconds is not None else "not connected"

    def _connected(self, kind: str) -> dict[str, dict[str, xds.ClientStatus]]:
        """Return the connected proxies of a type by their addresses and IDs: a gateway may stand at the
        address of a workload that it is not the proxy of, and so may the sidecar of a different workload."""
        found: dict[str, dict[str, xds.ClientStatus]] = {}
        for client in self._clients.clients():
            proxy = self._control_plane.proxy_of(client.group)
            if proxy is not None and proxy.type == kind:
                for address in proxy.ip_addresses:
                    found.setdefault(address, {})[proxy.id] = client
        return found

    def _state(self, client: xds.ClientStatus) -> str:
        behind = sum(
            (each := of_type.accepted.get(name)) is None or each.version != wanted.version
            for of_type in self._clients.client_resources(client.number).values()
            for name, wanted in of_type.wanted.items()
        )
        if not behind:
            return "connected; it has accepted all resources meant for it"
        return f"connected; it has not accepted {behind} of its resources (mizzen diff)"


def _names_by_address(mesh: Mesh) -> dict[str, set[str]]:
    """Return the workloads (`name.namespace`) by their addresses."""
    found: dict[str, set[str]] = {}
    for workload in mesh.registry.workloads_by_key.values():
        for address in workload.addresses:
            found.setdefault(address, set()).add(f"{workload.key.name}.{workload.key.namespace}")
    return found
