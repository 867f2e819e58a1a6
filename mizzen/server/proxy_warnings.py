"""Warnings about connected proxies: gateways without a Gateway, sidecars whose service account is not that of
their workload, and proxies that collide with each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from mizzen import xds
from mizzen.config.group_kinds import GATEWAY
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh

_SHOWN = 3
_MOST_ON_A_HOST = 100
"""Most proxies of one host: more proxies with the same address are on many hosts behind a router."""


def gateway_warnings(mesh: Mesh, proxy: Proxy) -> tuple[str, ...]:
    """Return a warning for a gateway that no Gateway selects: it accepts all resources, but has no
    listener."""
    if proxy.type != "router":
        return ()
    labels = mesh.workload_labels(proxy)
    if mesh.gateway_index.selecting(labels):
        return ()
    own = ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "none"
    gateways = sorted(
        (
            (mesh.current_origin(config.origin_of("spec", "selector")), config)
            for config in mesh.configs(GATEWAY)
        ),
        key=lambda found: found[0],
    )
    wanted = [
        f"{', '.join(f'{key}={value}' for key, value in sorted(config.spec.selector.items()))} ({origin})"
        for origin, config in gateways[:_SHOWN]
    ]
    if len(gateways) > _SHOWN:
        wanted.append(f"{len(gateways) - _SHOWN} others")
    right = f"labels that Gateways select are: {'; '.join(wanted)}" if wanted else "there is no Gateway yet"
    return (f"no Gateway selects this proxy, so it listens nowhere; its labels are: {own}; {right}",)


def service_account_warning(mesh: Mesh, proxy: Proxy) -> str:
    """Return a warning for a sidecar whose certificate clients refuse: they expect the service account that
    its workload has in the documents. Empty if they are the same, or the documents name none."""
    if proxy.type != "sidecar":
        return ""
    own = mesh.settings.spiffe_identity(proxy.namespace, proxy.account)
    declared = {each.endpoint.identity: each.endpoint for each in mesh.instances(proxy)}
    declared.pop("", None)
    if not declared or own in declared:
        return ""
    expected, endpoint = min(declared.items(), key=lambda found: found[0])
    place = f" ({mesh.current_origin(endpoint.origin)})" if endpoint.origin is not None else ""
    return (
        f"clients refuse its certificate: it is {own}, and its workload is {expected}{place}; start it "
        "with the service account of its workload (--service-account), or correct the workload"
    )


def same_node_warnings(clients: Iterable[xds.ClientStatus]) -> dict[str, tuple[str]]:
    """Return a warning for each node id with several Envoys connected at the same time.

    A broken connection looks the same until the server notices it, after up to half a minute.
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


def same_address_warnings(
    clients: Iterable[xds.ClientStatus],
    proxy_of: Callable[[Hashable], Proxy | None],
    snapshot_of: Callable[[Hashable], xds.Snapshot | None],
) -> dict[str, tuple[str, ...]]:
    """Return a warning for each node id whose Envoy listens at the same address as another Envoy on its host.

    Envoys share such an address without an error (SO_REUSEPORT), and each gets some of the other's
    connections. Clients with the same peer address count as being on one host. Sidecars whose traffic is
    redirected are left out, because they do not bind these addresses.
    """
    on_host: dict[str, dict[str, xds.ClientStatus]] = {}
    for client in clients:
        proxy = proxy_of(client.group)
        if proxy is not None and (proxy.type == "router" or proxy.interception_mode == "NONE"):
            on_host.setdefault(client.peer.rpartition(":")[0], {})[client.node_id] = client
    warnings: dict[str, tuple[str, ...]] = {}
    for host, group in on_host.items():
        if 1 < len(group) <= _MOST_ON_A_HOST:
            warnings.update(_shared_addresses(host, group, snapshot_of))
    return warnings


def _shared_addresses(
    host: str,
    group: dict[str, xds.ClientStatus],
    snapshot_of: Callable[[Hashable], xds.Snapshot | None],
) -> dict[str, tuple[str, ...]]:
    listening: dict[str, list[str]] = {}
    for node_id, client in group.items():
        snapshot = snapshot_of(client.group)
        for name in snapshot.collection(xds.type_urls.LISTENER) if snapshot is not None else ():
            listening.setdefault(name, []).append(node_id)
    shared: dict[str, dict[str, list[str]]] = {}
    for name, nodes in listening.items():
        for node_id in nodes if len(nodes) > 1 else ():
            others = ", ".join(other for other in nodes if other != node_id)
            shared.setdefault(node_id, {}).setdefault(others, []).append(name)
    return {
        node_id: tuple(
            f"{_listed(names)}: {others} listens there too, on the same host ({host}), so each gets some of "
            "the other's connections; give the listeners of each a `bind` of its own, in its Sidecar or "
            "Gateway"
            for others, names in by_others.items()
        )
        for node_id, by_others in shared.items()
    }


def _listed(names: list[str]) -> str:
    places = [f"{bind}:{port}" for bind, _, port in (name.rpartition("_") for name in sorted(names))]
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return "listens at " + ", ".join(places[:_SHOWN]) + more
