"""TCP and TLS routes of virtual services, on sidecars: the filter chains of a service's port.

Source: Istio's pilot/pkg/networking/core/tls.go and networkfilter.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Protocol as Interface

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import Destination, L4MatchAttributes, RouteDestination, TLSMatchAttributes
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.destination_rules import MergedDestinationRule
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.scope.domains import alternative_names
from mizzen.mesh.service import Resolution, Service, ServicePort
from mizzen.translator.base.cluster_names import (
    STAT_NAME_DELIMITER,
    alt_stat_name,
    dns_cache_name,
    outbound_cluster_name,
)
from mizzen.translator.listeners.filter_chains import ChainMatch, TcpChain
from mizzen.translator.listeners.tcp_proxy import TcpTarget


class Destinations(Interface):
    """The lookups of TCP and TLS routes. SidecarScope implements them, for sidecars and gateways alike."""

    def destination_service(self, hostname: str) -> Service | None:
        """Return the service with a destination's host, or None."""

    def destination_host(self, hostname: str) -> str:
        """Return the host that has the clusters; it differs from a destination's host if that is an alias."""

    def destination_rule(self, service: Service | str) -> MergedDestinationRule | None:
        """Return the destination rule in force for a service or hostname."""


def destination_port(hostname: str, number: int, destinations: Destinations, listen_port: int) -> int:
    """Return the port of a destination: as given, else the service's only port, else the listener's."""
    if number:
        return number
    service = destinations.destination_service(hostname)
    if service is not None and len(service.ports) == 1:
        return service.ports[0].number
    return listen_port


def routed_target(
    routes: Sequence[RouteDestination],
    rule: VirtualServiceRule,
    destinations: Destinations,
    listen_port: int,
    mesh_config: MeshConfig,
    idle_timeout: timedelta | None,
) -> TcpTarget:
    """Return the target for the `route` of a TCP or TLS rule. Among several destinations, those with weight 0
    get no connections."""
    clusters = []
    for route in routes:
        if route.destination is None or (len(routes) > 1 and not route.weight):
            continue
        port = _port_of(route.destination, destinations, listen_port)
        host = destinations.destination_host(route.destination.host)
        clusters.append((outbound_cluster_name(port, route.destination.subset, host), route.weight))
    stat_prefix = f"{rule.config.name}.{rule.config.namespace}"
    first = routes[0].destination
    if first is None:
        return TcpTarget(tuple(clusters), stat_prefix, idle_timeout)
    port = _port_of(first, destinations, listen_port)
    # All destinations share one chain: the DestinationRule of the first counts, without its subset if there
    # are several.
    subset = first.subset if len(routes) == 1 else ""
    if len(routes) == 1:
        host = destinations.destination_host(first.host)
        service = destinations.destination_service(host)
        stat_prefix = stat_name(clusters[0][0], mesh_config, host, service, port, subset)
    merged = destinations.destination_rule(first.host)
    return policy_target(tuple(clusters), stat_prefix, merged, subset, idle_timeout)


def _port_of(destination: Destination, destinations: Destinations, listen_port: int) -> int:
    number = destination.port.number if destination.port else 0
    return destination_port(destination.host, number, destinations, listen_port)


def stat_name(
    cluster: str, mesh_config: MeshConfig, hostname: str, service: Service | None, number: int, subset: str
) -> str:
    """Return the name for statistics of connections to `cluster`: its own, or the one that
    MeshConfig.outboundClusterStatName defines."""
    pattern = mesh_config.outbound_cluster_stat_name
    if not pattern:
        return cluster
    port = service.port(number) if service is not None else None
    name = alt_stat_name(
        cluster,
        pattern,
        hostname=hostname,
        port=number,
        port_name=port.name if port is not None else "",
        subset=subset,
    )
    return name.removesuffix(STAT_NAME_DELIMITER)


def policy_target(
    clusters: tuple[tuple[str, int], ...],
    stat_prefix: str,
    merged: MergedDestinationRule | None,
    subset: str,
    idle_timeout: timedelta | None,
) -> TcpTarget:
    """Return the target with the settings of its DestinationRule for TCP connections.

    The rule's own trafficPolicy gives the timeouts. It also says whether to hash the source address, unless
    the subset has a load balancer, which then decides. portLevelSettings and the mesh's defaults are ignored.
    With a subset, only the subset's tunnel counts (Istio's networkfilter.go and tunnelingconfig).
    """
    policy = merged.traffic_policy if merged is not None else None
    own = merged.subset(subset) if merged is not None and subset else None
    of_subset = own.traffic_policy if own is not None else None
    maximum = None
    if policy is not None and policy.connection_pool is not None and policy.connection_pool.tcp is not None:
        tcp = policy.connection_pool.tcp
        idle_timeout = tcp.idle_timeout if tcp.idle_timeout is not None else idle_timeout
        maximum = tcp.max_connection_duration
    balancer = policy.load_balancer if policy is not None else None
    if of_subset is not None and of_subset.load_balancer is not None:
        balancer = of_subset.load_balancer
    hashing = balancer.consistent_hash if balancer is not None else None
    tunnelling = of_subset if subset else policy
    tunnel = None
    if tunnelling is not None and tunnelling.tunnel is not None:
        settings = tunnelling.tunnel
        tunnel = (f"{settings.target_host}:{settings.target_port}", settings.protocol == "POST")
    hash_source_ip = hashing is not None and bool(hashing.use_source_ip)
    return TcpTarget(clusters, stat_prefix, idle_timeout, maximum, hash_source_ip, tunnel)


def match_applies(
    match: L4MatchAttributes | TLSMatchAttributes,
    listen_port: int,
    namespace: str,
    labels: Mapping[str, str],
) -> bool:
    """Return whether a match can hold for a sidecar of `namespace` with `labels` that calls `listen_port`.

    It checks only the parts of the match that are the same for all connections.
    """
    if match.gateways and "mesh" not in match.gateways:
        return False
    if match.port and match.port != listen_port:
        return False
    if match.source_namespace and match.source_namespace != namespace:
        return False
    return all(labels.get(key) == value for key, value in match.source_labels.items())


class SidecarL4Routes:
    """Builds the TCP and TLS chains for the outbound ports of a sidecar."""

    def __init__(
        self,
        destinations: Destinations,
        mesh_config: MeshConfig,
        profile: OutboundProfile,
    ) -> None:
        self._destinations = destinations
        self._profile = profile
        self._namespace = profile.namespace
        self._labels = dict(profile.labels)
        self._mesh_config = mesh_config
        self._idle_timeout = profile.idle_timeout

    def chains(
        self,
        service: Service,
        port: ServicePort,
        listen_port: int,
        cidr: str,
        rules: Iterable[VirtualServiceRule],
        *,
        by_name: bool,
    ) -> tuple[TcpChain, ...]:
        """Return the chains of `service`'s `port` on a listener.

        `cidr` limits them if the service's address is a range. `rules` are the virtual services of the host,
        in order. `by_name`: for TLS, the SNI alone identifies the service.
        """
        ranges = (cidr,) if cidr else ()
        if port.protocol.is_tls:
            return self._tls_chains(service, port, listen_port, ranges, rules, by_name=by_name)
        return self._tcp_chains(service, port, listen_port, ranges, rules)

    def _tls_chains(
        self,
        service: Service,
        port: ServicePort,
        listen_port: int,
        ranges: tuple[str, ...],
        rules: Iterable[VirtualServiceRule],
        *,
        by_name: bool,
    ) -> tuple[TcpChain, ...]:
        chains: list[TcpChain] = []
        seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
        for rule in rules:
            for tls_rule in rule.tls:
                for match in tls_rule.route.match:
                    if not match_applies(match, listen_port, self._namespace, self._labels):
                        continue
                    # As in Istio, these subnets also limit later matches that have none. On a unix socket
                    # (port 0) there is no address to compare.
                    if listen_port:
                        ranges = match.destination_subnets or ranges
                    key = (tuple(sorted(match.sni_hosts)), tuple(sorted(ranges)))
                    if key in seen:
                        continue
                    seen.add(key)
                    target = self._routed(tls_rule.route.route, rule, listen_port)
                    chain_match = ChainMatch(server_names=match.sni_hosts, prefix_ranges=ranges)
                    chains.append(TcpChain(target, port.protocol, chain_match, (tls_rule.origin,)))
        if not chains:
            names = self._server_names(service) if by_name or _dials_any_name(service) else ()
            chain_match = ChainMatch(server_names=names, prefix_ranges=ranges)
            chains.append(
                TcpChain(self._own_target(service, port), port.protocol, chain_match, service.origins)
            )
        return tuple(chains)

    def _server_names(self, service: Service) -> tuple[str, ...]:
        """Return the names by which clients call the service: its host, and its aliases with their short
        forms."""
        names = [service.hostname]
        for alias in service.aliases:
            names += [alias, *alternative_names(alias, self._profile.dns_domain)]
        return tuple(names)

    def _tcp_chains(
        self,
        service: Service,
        port: ServicePort,
        listen_port: int,
        ranges: tuple[str, ...],
        rules: Iterable[VirtualServiceRule],
    ) -> tuple[TcpChain, ...]:
        chains: list[TcpChain] = []
        for rule in rules:
            for tcp_rule in rule.tcp:
                target = self._routed(tcp_rule.route.route, rule, listen_port)
                if not tcp_rule.route.match:
                    chain_match = ChainMatch(prefix_ranges=ranges)
                    chains.append(TcpChain(target, port.protocol, chain_match, (tcp_rule.origin,)))
                    return tuple(chains)
                subnets: list[str] = []
                for match in tcp_rule.route.match:
                    if not match_applies(match, listen_port, self._namespace, self._labels):
                        continue
                    if not match.destination_subnets or not listen_port:
                        chain_match = ChainMatch(prefix_ranges=ranges)
                        chains.append(TcpChain(target, port.protocol, chain_match, (tcp_rule.origin,)))
                        return tuple(chains)
                    subnets.extend(match.destination_subnets)
                if subnets:
                    chain_match = ChainMatch(prefix_ranges=tuple(subnets))
                    chains.append(TcpChain(target, port.protocol, chain_match, (tcp_rule.origin,)))
        chain_match = ChainMatch(prefix_ranges=ranges)
        chains.append(TcpChain(self._own_target(service, port), port.protocol, chain_match, service.origins))
        return tuple(chains)

    def _own_target(self, service: Service, port: ServicePort) -> TcpTarget:
        # A listener of a Sidecar may have another port than the service.
        number = service.ports[0].number if len(service.ports) == 1 else port.number
        name = outbound_cluster_name(number, "", service.hostname)
        target = policy_target(
            ((name, 1),),
            stat_name(name, self._mesh_config, service.hostname, service, number, ""),
            self._destinations.destination_rule(service),
            "",
            self._idle_timeout,
        )
        if _dials_any_name(service):
            cache = dns_cache_name(service.hostname)
            target = replace(target, dns_cache=(cache, port.number, self._profile.ip_family))
        return target

    def _routed(
        self, routes: Sequence[RouteDestination], rule: VirtualServiceRule, listen_port: int
    ) -> TcpTarget:
        return routed_target(
            routes, rule, self._destinations, listen_port, self._mesh_config, self._idle_timeout
        )


def _dials_any_name(service: Service) -> bool:
    """Return whether Envoy connects to the host in the SNI, which may be any under the service's wildcard."""
    return service.resolution is Resolution.DYNAMIC_DNS and service.hostname.startswith("*")
