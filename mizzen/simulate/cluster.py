"""A cluster and its endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import health_check_pb2

from mizzen.simulate.connection import Connection
from mizzen.simulate.secrets import HasSecret, missing_secrets
from mizzen.simulate.typed_config import type_name
from mizzen.simulate.upstream_tls import upstream_context
from mizzen.simulate.verdict import ClusterStep, Endpoint, Failure, Locality

_Cluster: Final = cluster_pb2.Cluster
_USABLE: Final = frozenset({"UNKNOWN", "HEALTHY", "DEGRADED"})
_ORIGINAL_DESTINATION: Final = "ORIGINAL_DST"
_DYNAMIC_FORWARD_PROXY: Final = "envoy.clusters.dynamic_forward_proxy"
_PANIC_THRESHOLD: Final = 50.0


class Clusters:
    """The clusters of a proxy by name, each compiled when it is first used."""

    __slots__ = ("_assignment", "_cluster", "_has_secret", "_steps")

    def __init__(
        self,
        cluster: Callable[[str], Any | None],
        assignment: Callable[[str], Any | None],
        has_secret: HasSecret,
    ) -> None:
        self._cluster = cluster
        self._assignment = assignment
        self._has_secret = has_secret
        self._steps: dict[str, ClusterStep] = {}

    def step(self, name: str, connection: Connection, authority: str) -> ClusterStep:
        """Return the cluster; its `failure` says why it cannot take the call.

        For some clusters the endpoint is made from the call: its original destination, or the authority, by
        whose name Envoy finds it.
        """
        found = self._steps.get(name)
        if found is None:
            found = self._steps[name] = self._compile(name)
        if found.discovery_type == _ORIGINAL_DESTINATION:
            place = (connection.address, connection.port) if connection.restored else None
            return _with_endpoint(found, place)
        if found.discovery_type == _DYNAMIC_FORWARD_PROXY:
            return _with_endpoint(found, _named(authority, 443 if found.originates_tls else 80))
        return found

    def _compile(self, name: str) -> ClusterStep:
        message = self._cluster(name)
        if message is None:
            return ClusterStep(name, "", "", (), originates_tls=False, failure=Failure.NO_CLUSTER)
        if message.HasField("cluster_type"):
            discovery = str(message.cluster_type.name)
        else:
            discovery = _Cluster.DiscoveryType.Name(message.type)
        assignment = message.load_assignment
        if discovery == "EDS":
            found = self._assignment(message.eds_cluster_config.service_name or name)
            assignment = found if found is not None else assignment
        localities = tuple(
            sorted(map(_locality, assignment.endpoints), key=lambda locality: locality.priority)
        )
        missing = self._missing_secrets(message, assignment)
        failure = None if _takes_calls(message, localities) else Failure.NO_ENDPOINT
        return ClusterStep(
            name=name,
            discovery_type=discovery,
            load_balancing=_Cluster.LbPolicy.Name(message.lb_policy),
            localities=localities,
            originates_tls="Tls" in type_name(message.transport_socket.typed_config)
            or bool(message.transport_socket_matches),
            failure=failure or (Failure.NO_SECRET if missing else None),
            missing_secrets=missing,
        )

    def _missing_secrets(self, cluster: Any, assignment: Any) -> tuple[str, ...]:
        """Return the missing secrets if without them no endpoint can be called; ()
        if one endpoint can be called."""
        endpoints = [each for locality in assignment.endpoints for each in locality.lb_endpoints] or [None]
        found: dict[str, None] = {}
        for endpoint in endpoints:
            missing = missing_secrets(upstream_context(cluster, endpoint), self._has_secret)
            if not missing:
                return ()
            found.update(dict.fromkeys(missing))
        return tuple(found)


def _takes_calls(message: Any, localities: Iterable[Locality]) -> bool:
    """Return True if an endpoint is healthy, or Envoy panics and treats all as healthy."""
    healths = {endpoint.health for locality in localities for endpoint in locality.endpoints}
    common = message.common_lb_config
    threshold = _PANIC_THRESHOLD
    if common.HasField("healthy_panic_threshold"):
        threshold = common.healthy_panic_threshold.value
    return bool(healths & _USABLE) or bool(healths and threshold)


def _with_endpoint(step: ClusterStep, place: tuple[str, int] | None) -> ClusterStep:
    if place is None:
        return replace(step, failure=Failure.NO_ENDPOINT)
    localities = (Locality(0, "", "", "", 1, (Endpoint(place[0], place[1], 1, "UNKNOWN"),)),)
    failure = Failure.NO_SECRET if step.missing_secrets else None
    return replace(step, localities=localities, failure=failure)


def _named(authority: str, default_port: int) -> tuple[str, int] | None:
    """Return the name and port of an authority; None if it is empty."""
    host, colon, port = authority.rpartition(":")
    if colon and port.isdecimal():
        return host, int(port)
    return (authority, default_port) if authority else None


def _locality(message: Any) -> Locality:
    place = message.locality
    return Locality(
        priority=message.priority,
        region=str(place.region),
        zone=str(place.zone),
        sub_zone=str(place.sub_zone),
        weight=message.load_balancing_weight.value,
        endpoints=tuple(map(_endpoint, message.lb_endpoints)),
    )


def _endpoint(message: Any) -> Endpoint:
    address = message.endpoint.address
    if address.HasField("pipe"):
        place, port = str(address.pipe.path), 0
    elif address.HasField("envoy_internal_address"):
        place, port = str(address.envoy_internal_address.server_listener_name), 0
    else:
        place, port = str(address.socket_address.address), int(address.socket_address.port_value)
    weight = message.load_balancing_weight
    return Endpoint(
        address=place,
        port=port,
        weight=weight.value if message.HasField("load_balancing_weight") else 1,
        health=health_check_pb2.HealthStatus.Name(message.health_status),
    )
