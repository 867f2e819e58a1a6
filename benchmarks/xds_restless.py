"""A configuration of Envoy that never stays the same, and never should fail a request.

`Restless.change` does one of the things that operators do: it renames a subset, replaces a cluster, moves
weights, swaps endpoints, changes the filters of a listener, or splits and merges routes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.json_format import ParseDict

from benchmarks.xds_envoy import socket_address
from mizzen import xds


@dataclass
class Subset:
    """A part of a service: one EDS cluster."""

    name: str
    ports: tuple[int, ...]
    connect_timeout: int = 1000
    weight: int = 50


@dataclass
class Service:
    """A virtual host that spreads requests over its subsets."""

    host: str
    ports: tuple[int, ...]
    subsets: list[Subset]
    split: bool = False


@dataclass
class Restless:
    """The present configuration.

    Args:
        listener_ports: a listener for each.
        upstreams: the hosts of the services, and the ports of servers that may answer for each.
        source: the ConfigSource that all resources name.
        seed: the same seed gives the same changes.
    """

    listener_ports: tuple[int, ...]
    upstreams: dict[str, tuple[int, ...]]
    source: dict[str, Any]
    seed: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._names = 0
        self._shared_routes = True
        self._listener_filter = False
        self._http_filter = False
        self._services = [
            Service(host, ports, [Subset(self._new_name(host), ports[:1]) for _ in range(2)])
            for host, ports in self.upstreams.items()
        ]
        self._changes: tuple[Callable[[], None], ...] = (
            self.rename_a_subset,
            self.replace_a_cluster,
            self.move_weights,
            self.swap_endpoints,
            self.change_listener_filters,
            self.change_http_filters,
            self.split_or_merge_routes,
            self.split_or_merge_route_configurations,
        )

    def _new_name(self, host: str) -> str:
        self._names += 1
        return f"{host}-subset-{self._names}"

    def change(self) -> None:
        """One to three changes at a time."""
        for change in self._random.sample(self._changes, self._random.choice((1, 1, 2, 3))):
            change()
            self.counts[change.__name__] = self.counts.get(change.__name__, 0) + 1

    def _subset(self) -> tuple[Service, Subset]:
        service = self._random.choice(self._services)
        return service, self._random.choice(service.subsets)

    # What changes

    def rename_a_subset(self) -> None:
        """The cluster goes, another comes in its place, and the routes follow."""
        service, subset = self._subset()
        subset.name = self._new_name(service.host)

    def replace_a_cluster(self) -> None:
        """The same name with another content."""
        _, subset = self._subset()
        subset.connect_timeout += 1

    def move_weights(self) -> None:
        """Other shares for the subsets of a service; a subset may get nothing."""
        service = self._random.choice(self._services)
        share = self._random.choice((0, 10, 50, 90, 100))
        service.subsets[0].weight, service.subsets[1].weight = share, 100 - share

    def swap_endpoints(self) -> None:
        """Other servers behind a subset."""
        service, subset = self._subset()
        subset.ports = tuple(self._random.sample(service.ports, self._random.choice((1, 2))))

    def change_listener_filters(self) -> None:
        """Envoy takes a new listener into service and drains the old one."""
        self._listener_filter = not self._listener_filter

    def change_http_filters(self) -> None:
        """Envoy drains the connections of the old filter chain."""
        self._http_filter = not self._http_filter

    def split_or_merge_routes(self) -> None:
        """One route for all paths of a service, or one for each half of them."""
        service = self._random.choice(self._services)
        service.split = not service.split

    def split_or_merge_route_configurations(self) -> None:
        """One RouteConfiguration for all listeners, or one for each."""
        self._shared_routes = not self._shared_routes

    # What it is

    def resources(self) -> Iterator[xds.Resource]:
        """All resources as they should be now."""
        for service in self._services:
            for subset in service.subsets:
                yield self._cluster(subset)
                yield self._endpoints(subset)
        for port in self.listener_ports:
            yield self._listener(port)
        for name in sorted({self._route_name(port) for port in self.listener_ports}):
            yield self._routes(name)

    def _route_name(self, port: int) -> str:
        return "shared" if self._shared_routes else f"of-{port}"

    def _cluster(self, subset: Subset) -> xds.Resource:
        body = {
            "name": subset.name,
            "type": "EDS",
            "connect_timeout": f"{subset.connect_timeout / 1000:.3f}s",
            "eds_cluster_config": {"eds_config": self.source},
        }
        return xds.Resource.of(ParseDict(body, cluster_pb2.Cluster()))

    def _endpoints(self, subset: Subset) -> xds.Resource:
        hosts = [{"endpoint": {"address": socket_address(port)}} for port in subset.ports]
        body = {"cluster_name": subset.name, "endpoints": [{"lb_endpoints": hosts}]}
        return xds.Resource.of(ParseDict(body, endpoint_pb2.ClusterLoadAssignment()))

    def _routes(self, name: str) -> xds.Resource:
        hosts = []
        for service in self._services:
            clusters = [{"name": each.name, "weight": each.weight} for each in service.subsets]
            prefixes = ("/left", "/") if service.split else ("/",)
            routes = [
                {"match": {"prefix": prefix}, "route": {"weighted_clusters": {"clusters": clusters}}}
                for prefix in prefixes
            ]
            hosts.append({"name": service.host, "domains": [service.host], "routes": routes})
        return xds.Resource.of(
            ParseDict({"name": name, "virtual_hosts": hosts}, route_pb2.RouteConfiguration())
        )

    def _listener(self, port: int) -> xds.Resource:
        rds = {"route_config_name": self._route_name(port), "config_source": self.source}
        # So that a failed request tells why: "NC cluster_not_found".
        reason = {"inline_string": "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%"}
        reply = {"body_format": {"text_format_source": reason}}
        manager = ParseDict(
            {"stat_prefix": f"port-{port}", "rds": rds, "local_reply_config": reply},
            http_connection_manager_pb2.HttpConnectionManager(),
        )
        if self._http_filter:
            header = {"append": {"header": {"key": "x-filtered", "value": "yes"}}}
            mutation = ParseDict(
                {"mutations": {"response_mutations": [header]}}, header_mutation_pb2.HeaderMutation()
            )
            manager.http_filters.add(name="header_mutation").typed_config.Pack(mutation)
        manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
        message = ParseDict(
            {"name": f"port-{port}", "address": socket_address(port)}, listener_pb2.Listener()
        )
        if self._listener_filter:
            inspector = tls_inspector_pb2.TlsInspector()
            message.listener_filters.add(name="tls_inspector").typed_config.Pack(inspector)
        message.filter_chains.add().filters.add(name="http").typed_config.Pack(manager)
        return xds.Resource.of(message)
