"""A cluster's endpoints by priority and locality, and when it takes no calls."""

from __future__ import annotations

from mizzen.simulate import Call, Capture, Failure, Protocol, Simulator, Verdict
from tests.unit.simulate.simulated_proxy import configuration

_CLUSTERS = """
- name: eds
  type: EDS
  eds_cluster_config: {service_name: pool}
  lb_policy: LEAST_REQUEST
  transport_socket: {name: tls, typed_config: {'@type': upstream_tls}}
- {name: empty, type: EDS}
- name: static
  type: STATIC
  load_assignment:
    cluster_name: static
    endpoints:
      - lb_endpoints: [{health_status: UNHEALTHY, endpoint: {address: {pipe: {path: /run/a.sock}}}}]
- name: strict
  type: STATIC
  common_lb_config: {healthy_panic_threshold: {value: 0}}
  load_assignment:
    cluster_name: strict
    endpoints:
      - lb_endpoints: [{health_status: UNHEALTHY, endpoint: {address: {pipe: {path: /run/a.sock}}}}]
- {name: original, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED}
"""
_ENDPOINTS = """
- cluster_name: pool
  endpoints:
    - priority: 1
      locality: {region: eu, zone: b}
      lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 80}}}}]
    - priority: 0
      locality: {region: eu, zone: a, sub_zone: r1}
      load_balancing_weight: 2
      lb_endpoints:
        - load_balancing_weight: 3
          health_status: DEGRADED
          endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}
"""
_LISTENER = """
- name: virtualOutbound
  traffic_direction: OUTBOUND
  use_original_dst: true
  address: {socket_address: {address: 0.0.0.0, port_value: 15001}}
  filter_chains: [{filters: [{name: t, typed_config: {'@type': tcp, stat_prefix: t, cluster: %s}}]}]
"""


def _verdict(cluster: str) -> Verdict:
    messages = configuration(clusters=_CLUSTERS, endpoints=_ENDPOINTS, listeners=_LISTENER % cluster)
    return Simulator(messages).verdict(Call(443, "192.0.2.7", Capture.OUTBOUND, Protocol.TCP))


def test_endpoints_stand_by_priority_and_locality() -> None:
    [destination] = _verdict("eds").destinations
    cluster = destination.cluster
    assert (cluster.discovery_type, cluster.load_balancing, cluster.originates_tls) == (
        "EDS",
        "LEAST_REQUEST",
        True,
    )
    assert [
        (each.priority, each.region, each.zone, each.sub_zone, each.weight) for each in cluster.localities
    ] == [
        (0, "eu", "a", "r1", 2),
        (1, "eu", "b", "", 0),
    ]
    assert [(each.address, each.port, each.weight, each.health) for each in cluster.endpoints] == [
        ("10.0.0.1", 80, 3, "DEGRADED"),
        ("10.0.0.2", 80, 1, "UNKNOWN"),
    ]


def test_a_cluster_without_endpoints_fails_the_call() -> None:
    assert [_verdict(name).failure for name in ("empty", "strict", "missing")] == [
        Failure.NO_ENDPOINT,
        Failure.NO_ENDPOINT,
        Failure.NO_CLUSTER,
    ]
    assert _verdict("empty").status is None


def test_unhealthy_endpoints_are_used_in_panic() -> None:
    assert _verdict("static").failure is None


def test_the_original_destination_is_an_endpoint() -> None:
    [destination] = _verdict("original").destinations
    assert [(each.address, each.port) for each in destination.cluster.endpoints] == [("192.0.2.7", 443)]
