"""Which endpoints of a service a cluster gets, and what is said of each."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mizzen.mesh.service import HealthStatus, Protocol, ServicePort
from tests.unit.translator.clusters.cluster_scenes import HOST, Scene, endpoint, service
from tests.unit.translator.endpoints.test_assignments import addresses


def test_an_endpoint_serves_the_ports_that_it_names() -> None:
    ports = (ServicePort("http", 80, Protocol.HTTP), ServicePort("admin", 81, Protocol.HTTP))
    pool = [
        endpoint("10.0.0.1", ports=[("http", 1), ("admin", 2)]),
        endpoint("10.0.0.2", ports=[("http", 3)]),
    ]

    made = Scene(service(ports=ports), pool).assignments()

    assert addresses(made[f"outbound|80||{HOST}"]) == ["10.0.0.1", "10.0.0.2"]
    assert addresses(made[f"outbound|81||{HOST}"]) == ["10.0.0.1"]


def test_eds_drops_what_cannot_be_dialled_but_sockets() -> None:
    pool = [
        endpoint("a.example"),
        endpoint("10.0.0.1"),
        endpoint("fd00::1"),
        endpoint("unix:///tmp/s", port=0),
    ]

    (group,) = Scene(endpoints=pool).assignment()["endpoints"]

    assert [each["endpoint"]["address"] for each in group["lb_endpoints"]] == [
        {"socket_address": {"address": "10.0.0.1", "port_value": 8080}},
        {"socket_address": {"address": "fd00::1", "port_value": 8080}},
        {"pipe": {"path": "/tmp/s"}},
    ]


HEALTH = [
    (HealthStatus.UNHEALTHY, {}, {}, "", "UNHEALTHY"),
    (HealthStatus.UNHEALTHY, {}, {}, "trafficPolicy: {outlierDetection: {minHealthPercent: 10}}", None),
    (HealthStatus.TERMINATING, {}, {}, "", None),
    (HealthStatus.DRAINING, {}, {}, "", None),
    (HealthStatus.DRAINING, {"istio.io/persistent-session": "x"}, {}, "", "DRAINING"),
    (HealthStatus.HEALTHY, {}, {"istio.io/draining": "true"}, "", None),
]


@pytest.mark.parametrize(("health", "service_labels", "labels", "rule", "expected"), HEALTH)
def test_which_ailing_endpoints_are_sent(
    health: HealthStatus, service_labels: Any, labels: Any, rule: str, expected: str | None
) -> None:
    scene = Scene(service(labels=service_labels), [endpoint("10.0.0.1", health=health, labels=labels)])

    made = (scene.ruled(rule) if rule else scene).assignment()

    found = [each["health_status"] for group in made.get("endpoints", ()) for each in group["lb_endpoints"]]
    assert found == ([expected] if expected else [])


def test_a_service_may_keep_to_the_clients_node_and_a_proxy_to_its_networks() -> None:
    pool = [
        endpoint("10.0.0.1", node_name="n1", network="east"),
        endpoint("10.0.0.2", node_name="n2", network="east"),
        endpoint("10.0.0.3", node_name="n1", network="west"),
        endpoint("10.0.0.4", node_name="n1"),
    ]
    local = Scene(service(internal_traffic_policy_local=True), pool).seen_by(node_name="n1")

    assert addresses(local.assignment()) == ["10.0.0.1", "10.0.0.3", "10.0.0.4"]
    assert addresses(local.seen_by(requested_network_view=("east",)).assignment()) == ["10.0.0.1", "10.0.0.4"]


def test_a_mesh_may_keep_a_service_within_its_cluster() -> None:
    pool = [endpoint("10.0.0.1", cluster_id="east"), endpoint("10.0.0.2", cluster_id="west")]
    settings = "serviceSettings: [{settings: {clusterLocal: true}, hosts: ['*.example']}%s]"
    local = Scene(endpoints=pool).meshed(settings % "").seen_by(cluster_id="east")
    excepted = local.meshed(settings % ", {settings: {clusterLocal: false}, hosts: [reviews.example]}")

    assert addresses(local.assignment()) == ["10.0.0.1"]
    assert addresses(excepted.assignment()) == ["10.0.0.1", "10.0.0.2"]


TLS_MODES = [
    ("", "istio", "istio"),
    ("", "disabled", None),
    ("ISTIO_MUTUAL", "istio", "istio"),
    ("DISABLE", "istio", None),
    ("SIMPLE", "istio", None),
]


@pytest.mark.parametrize(("rule", "mode", "expected"), TLS_MODES)
def test_how_an_endpoint_says_what_it_speaks(rule: str, mode: str, expected: str | None) -> None:
    scene = Scene(endpoints=[endpoint("10.0.0.1", tls_mode=mode)])
    if rule:
        scene = scene.ruled(f"trafficPolicy: {{tls: {{mode: {rule}}}}}")

    metadata = scene.assignment()["endpoints"][0]["lb_endpoints"][0]["metadata"]["filter_metadata"]

    assert metadata.get("envoy.transport_socket_match", {}).get("tlsMode") == expected


def test_under_mutual_tls_of_the_rule_an_endpoint_may_still_say_that_it_speaks_none() -> None:
    pool = [endpoint("10.0.0.1", tls_mode="istio"), endpoint("10.0.0.2", tls_mode="disabled")]
    scene = Scene(endpoints=pool).ruled("trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}")

    (group,) = scene.assignment()["endpoints"]

    found = [
        each.get("metadata", {}).get("filter_metadata", {}).get("envoy.transport_socket_match")
        for each in group["lb_endpoints"]
    ]
    assert found == [{"tlsMode": "istio"}, None]


@pytest.mark.parametrize(
    ("hosts", "local"),
    [
        (["other.example"], False),
        (["*.example"], True),
        (["reviews.example"], True),
    ],
)
def test_services_that_no_setting_names_are_not_kept_within_a_cluster(hosts: list[str], local: bool) -> None:
    pool = [endpoint("10.0.0.1", cluster_id="c1"), endpoint("10.0.0.2", cluster_id="c2")]
    settings = [{"settings": {"clusterLocal": True}, "hosts": hosts}]
    scene = Scene(endpoints=pool).meshed(yaml.safe_dump({"serviceSettings": settings}))

    found = addresses(scene.seen_by(cluster_id="c1").assignment())

    assert found == (["10.0.0.1"] if local else ["10.0.0.1", "10.0.0.2"])
