"""Static and inbound clusters: what a proxy has whatever the mesh holds, and for its own workload."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import Sidecar
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.service import Protocol, ServicePort
from mizzen.mesh.services.registry import ServiceInstance
from mizzen.translator.clusters.inbound import inbound_clusters
from mizzen.translator.clusters.static import static_clusters
from tests.unit.translator.clusters.cluster_scenes import FirstLine, Scene, contains, endpoint, plain, service

NODE = "sidecar~{ip}~reviews-v1.default~default.svc.cluster.local"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def statics(mesh: str = "{}", **changes: Any) -> dict[str, dict[str, Any]]:
    scene = Scene().meshed(mesh).seen_by(**changes)
    return {each.name: plain(each) for each in static_clusters(scene.profile, scene.mesh)}


def test_unknown_calls_of_a_sidecar_pass_or_end_in_a_black_hole() -> None:
    made = statics()

    assert list(made) == ["BlackHoleCluster", "PassthroughCluster"]
    # ROUND_ROBIN is Envoy's zero.
    assert made["BlackHoleCluster"] == {
        "name": "BlackHoleCluster",
        "type": "STATIC",
        "alt_stat_name": "BlackHoleCluster;",
        "connect_timeout": "10s",
    }
    assert contains(
        made["PassthroughCluster"],
        yaml.safe_load(f"""
        type: ORIGINAL_DST
        lb_policy: CLUSTER_PROVIDED
        typed_extension_protocol_options:
          {OPTIONS}:
            common_http_protocol_options: {{idle_timeout: 300s}}
            use_downstream_protocol_config: {{http_protocol_options: {{}}, http2_protocol_options: {{}}}}
    """),
    )


def test_gateways_pass_nothing_on() -> None:
    assert list(statics(type="router")) == ["BlackHoleCluster"]


@pytest.mark.parametrize("tls", ["", ", tls: {mode: SIMPLE}", ", tls: {mode: SIMPLE, sni: a.example}"])
def test_unknown_names_may_be_resolved(tls: str) -> None:
    made = statics(f"outboundTrafficPolicy: {{mode: ALLOW_ANY_DYNAMIC_DNS{tls}}}")

    config = made["AllowAnyDynamicDNSCluster"]["cluster_type"]["typed_config"]
    assert config["dns_cache_config"]["name"] == "allow_any_dfp_dns_cache"
    assert ("transport_socket" in made["AllowAnyDynamicDNSCluster"]) == bool(tls)
    # Envoy wants to be told when nobody checks that the host is the one that the client chose.
    assert config.get("allow_insecure_cluster_options", False) == (tls != ", tls: {mode: SIMPLE}")


@pytest.mark.parametrize("mode", ["DISABLE", "ISTIO_MUTUAL"])
def test_unknown_names_are_never_called_as_the_mesh_is(mode: str) -> None:
    made = statics(f"outboundTrafficPolicy: {{mode: ALLOW_ANY_DYNAMIC_DNS, tls: {{mode: {mode}}}}}")

    assert "transport_socket" not in made["AllowAnyDynamicDNSCluster"]


def instance(number: int, protocol: str = "HTTP", target: int = 8080, **more: Any) -> ServiceInstance:
    port = ServicePort(f"port-{number}", number, Protocol(protocol), target)
    return ServiceInstance(service(ports=(port,), **more), port, target, endpoint("10.0.0.7"))


def inbound(
    *instances: ServiceInstance,
    sidecar: str = "",
    mesh: str = "{}",
    ip: str = "10.0.0.7",
    rule: str = "",
    **metadata: str,
) -> dict[str, dict[str, Any]]:
    proxy = Proxy.from_node({"id": NODE.format(ip=ip), "metadata": metadata})
    config = None
    if sidecar:
        spec = Sidecar.model_validate(yaml.safe_load(sidecar))
        origin = Origin("sidecar.yaml", 1)
        config = Config("networking.istio.io/v1", "Sidecar", "default", "own", spec, origin, FirstLine())
    merged = Scene().ruled(rule).rule if rule else None
    settings = MeshConfig.model_validate(yaml.safe_load(mesh))
    made = inbound_clusters(proxy, instances, config, lambda _: merged, settings)
    return {each.name: plain(each) for each in made}


def test_captured_calls_go_on_to_the_address_that_they_were_for() -> None:
    made = inbound(instance(80))

    assert list(made) == ["inbound|8080||", "InboundPassthroughCluster"]
    assert contains(
        made["inbound|8080||"],
        yaml.safe_load("""
        alt_stat_name: inbound|8080||;
        type: ORIGINAL_DST
        lb_policy: CLUSTER_PROVIDED
        cleanup_interval: 3153600000s
        upstream_bind_config: {source_address: {address: 127.0.0.6}}
        circuit_breakers: {thresholds: [{max_connections: 4294967295}]}
        metadata: {filter_metadata: {istio: {services: [{host: reviews.example}]}}}
    """),
    )
    assert "outlier_detection" not in made["inbound|8080||"]
    assert made["InboundPassthroughCluster"]["upstream_bind_config"] == {
        "source_address": {"address": "127.0.0.6", "port_value": 0}
    }


def test_a_workload_with_ipv6_only_is_called_from_ipv6() -> None:
    made = inbound(instance(80), ip="fd00::7")

    assert {each["upstream_bind_config"]["source_address"]["address"] for each in made.values()} == {"::6"}


def test_without_capture_nothing_passes_unasked() -> None:
    assert list(inbound(instance(80), INTERCEPTION_MODE="NONE")) == ["inbound|8080||"]


def test_the_mesh_may_send_inbound_calls_to_localhost() -> None:
    cluster = inbound(instance(80), mesh="inboundTrafficPolicy: {mode: LOCALHOST}")["inbound|8080||"]

    (group,) = cluster["load_assignment"]["endpoints"]
    address = group["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert address == {"address": "127.0.0.1", "port_value": 8080}
    assert cluster["type"] == "STATIC"
    assert "upstream_bind_config" not in cluster


def test_the_first_service_on_a_port_decides_and_those_of_its_port_are_named() -> None:
    made = inbound(
        instance(80, "HTTP2", hostname="a.example"),
        instance(80, "TCP", hostname="b.example"),
        instance(81, "TCP", hostname="c.example"),
        instance(53, "UDP", 53),
        instance(90, "TCP", 9090),
    )

    assert list(made) == ["inbound|8080||", "inbound|9090||", "InboundPassthroughCluster"]
    shared = made["inbound|8080||"]
    options = shared["typed_extension_protocol_options"][OPTIONS]
    assert options["explicit_http_config"] == {"http2_protocol_options": {}}
    named = shared["metadata"]["filter_metadata"]["istio"]["services"]
    assert [each["host"] for each in named] == ["a.example", "b.example"]


POOLS = [
    ("", "", 4294967295),
    ("trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}}}", "", 3),
    ("trafficPolicy: {portLevelSettings: [{port: {number: 80},"
     " connectionPool: {tcp: {maxConnections: 4}}}]}", "", 4),
    ("{workloadSelector: {matchLabels: {a: b}}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}}}}",
     "", 4294967295),
    ("trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}}}",
     "inboundConnectionPool: {tcp: {maxConnections: 5}}", 5),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "sidecar", "expected"), POOLS)
def test_limits_come_from_the_sidecar_or_else_from_the_services_rule(
    rule: str, sidecar: str, expected: int
) -> None:
    cluster = inbound(instance(80), rule=rule, sidecar=sidecar)["inbound|8080||"]

    assert cluster["circuit_breakers"]["thresholds"][0]["max_connections"] == expected


def test_a_rule_upgrades_clients_not_servers() -> None:
    rule = "trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}, outlierDetection: {}}"

    cluster = inbound(instance(80), rule=rule)["inbound|8080||"]

    assert "typed_extension_protocol_options" not in cluster
    assert "outlier_detection" not in cluster


ENDPOINTS = [
    ("127.0.0.1:9000", {"socket_address": {"address": "127.0.0.1", "port_value": 9000}}, False),
    ("'[::1]:9000'", {"socket_address": {"address": "127.0.0.1", "port_value": 9000}}, False),
    ("'[::]:9000'", {"socket_address": {"address": "::1", "port_value": 9000}}, False),
    ("0.0.0.0:9000", {"socket_address": {"address": "10.0.0.7", "port_value": 9000}}, True),
    ("unix:///run/app.sock", {"pipe": {"path": "/run/app.sock"}}, False),
]


@pytest.mark.parametrize(("text", "address", "bound"), ENDPOINTS)
def test_a_sidecar_says_where_the_workload_listens(text: str, address: Any, bound: bool) -> None:
    sidecar = f"ingress: [{{port: {{number: 8080, protocol: GRPC, name: x}}, defaultEndpoint: {text}}}]"

    cluster = inbound(instance(80), instance(90, "TCP", 9090), sidecar=sidecar, INTERCEPTION_MODE="NONE")

    assert list(cluster) == ["inbound|8080||"]
    (group,) = cluster["inbound|8080||"]["load_assignment"]["endpoints"]
    assert group["lb_endpoints"][0]["endpoint"]["address"] == address
    assert ("upstream_bind_config" in cluster["inbound|8080||"]) == bound
    assert "typed_extension_protocol_options" in cluster["inbound|8080||"]


def test_an_ipv6_workload_is_not_called_at_an_ipv4_loopback() -> None:
    sidecar = "ingress: [{port: {number: 8080, protocol: HTTP, name: x}, defaultEndpoint: 127.0.0.1:9000}]"

    cluster = inbound(instance(80), sidecar=sidecar, ip="2001:db8::7")["inbound|8080||"]

    (group,) = cluster["load_assignment"]["endpoints"]
    assert group["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"] == "::1"


def test_a_retry_budget_holds_at_the_server_too() -> None:
    rule = "trafficPolicy: {retryBudget: {percent: 33, minRetryConcurrency: 4}}"

    cluster = inbound(instance(80), rule=rule)["inbound|8080||"]

    assert cluster["circuit_breakers"]["thresholds"][0]["retry_budget"] == {
        "budget_percent": {"value": 33.0},
        "min_retry_concurrency": 4,
    }


def test_an_ingress_without_an_endpoint_goes_where_the_client_dialled() -> None:
    sidecar = """
        ingress:
        - {port: {number: 7070, protocol: HTTP, name: x}, connectionPool: {tcp: {maxConnections: 2}}}
        inboundConnectionPool: {tcp: {maxConnections: 5}}
    """

    cluster = inbound(sidecar=sidecar)["inbound|7070||"]

    assert cluster["type"] == "ORIGINAL_DST"
    assert cluster["circuit_breakers"]["thresholds"][0]["max_connections"] == 2
    assert "metadata" not in cluster


def test_a_gateway_has_no_workload() -> None:
    proxy = Proxy.from_node({"id": NODE.format(ip="10.0.0.7").replace("sidecar", "router", 1)})

    assert inbound_clusters(proxy, [instance(80)], None, lambda _: None, MeshConfig()) == ()


def test_inbound_statistics_have_the_meshs_pattern() -> None:
    mesh = 'inboundClusterStatName: "%SERVICE%_%SERVICE_PORT%_%TARGET_PORT%_%SERVICE_PORT_NAME%"'

    cluster = inbound(instance(80), mesh=mesh)["inbound|8080||"]

    assert cluster["alt_stat_name"] == "reviews.example_80_8080_port-80;"


def test_where_an_inbound_cluster_comes_from() -> None:
    found = instance(80)
    own = replace(found.service, origins=(Origin("a.yaml", 1), Origin("b.yaml", 2)))
    proxy = Proxy.from_node({"id": NODE.format(ip="10.0.0.7")})

    first, _ = inbound_clusters(proxy, [replace(found, service=own)], None, lambda _: None, MeshConfig())

    assert [str(origin) for origin in first.origins] == ["a.yaml:1", "b.yaml:2"]


@pytest.mark.parametrize(
    ("listener", "own", "expected"),
    [("", "", 5), ("", "{tcp: {maxConnections: 6}}", 6), ("{tcp: {maxConnections: 7}}", "{}", 7)],
)
def test_whose_connection_pool_a_sidecars_own_port_has(listener: str, own: str, expected: int) -> None:
    made = inbound(
        instance(80),
        sidecar=(
            "ingress: [{port: {number: 8080, name: a, protocol: HTTP}, defaultEndpoint: '127.0.0.1:1'"
            + (f", connectionPool: {listener}" if listener else "")
            + "}]\n"
            + (f"inboundConnectionPool: {own}\n" if own else "")
        ),
        rule="trafficPolicy: {connectionPool: {tcp: {maxConnections: 5}}}",
    )

    (threshold,) = made["inbound|8080||"]["circuit_breakers"]["thresholds"]
    assert threshold["max_connections"] == expected
