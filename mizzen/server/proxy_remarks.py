"""What is wrong between a connected proxy and the mesh, or among the connected proxies."""

from __future__ import annotations

from collections.abc import Iterable

from mizzen import xds
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh

_SHOWN = 3


def gateway_remarks(mesh: Mesh, proxy: Proxy) -> tuple[str, ...]:
    """Return a remark for a gateway that no Gateway selects: it accepts everything, and listens nowhere."""
    if proxy.type != "router":
        return ()
    labels = mesh.workload_labels(proxy)
    if mesh.gateway_index.selecting(labels):
        return ()
    own = ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "none"
    gateways = sorted(mesh.configs("Gateway"), key=lambda config: config.origin)
    wanted = [
        f"{', '.join(f'{key}={value}' for key, value in sorted(config.spec.selector.items()))} "
        f"({config.origin_of('spec', 'selector')})"
        for config in gateways[:_SHOWN]
    ]
    if len(gateways) > _SHOWN:
        wanted.append(f"{len(gateways) - _SHOWN} others")
    right = f"labels that Gateways select are: {'; '.join(wanted)}" if wanted else "there is no Gateway yet"
    return (f"no Gateway selects this proxy, so it listens nowhere; its labels are: {own}; {right}",)


def same_node_remarks(clients: Iterable[xds.ClientStatus]) -> dict[str, tuple[str]]:
    """Return a remark for each node id under which several Envoys are connected at the same time.

    A broken connection that nobody has noticed yet looks the same, for half a minute.
    """
    peers: dict[str, list[str]] = {}
    for client in clients:
        if "AggregatedResources" in client.method:
            peers.setdefault(client.node_id, []).append(client.peer)
    return {
        node_id: (
            f"{len(seen)} Envoys are connected under this node id, from {', '.join(sorted(seen)[:_SHOWN])}; "
            "give each a name and an address of its own",
        )
        for node_id, seen in peers.items()
        if len(seen) > 1
    }
