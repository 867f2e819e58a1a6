"""Outbound clusters: what a service and its DestinationRule become."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from mizzen.mesh.service import Protocol, ServicePort
from tests.unit.translator.clusters.cluster_scenes import HOST, Scene, contains, endpoint, service


def test_a_plain_service_becomes_one_cluster_whose_endpoints_come_over_ads() -> None:
    cluster = Scene().cluster()

    assert cluster == yaml.safe_load("""
        name: outbound|80||reviews.example
        alt_stat_name: outbound|80||reviews.example;
        type: EDS
        eds_cluster_config:
          eds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 15s}
          service_name: outbound|80||reviews.example
        connect_timeout: 10s
        lb_policy: LEAST_REQUEST
        circuit_breakers:
          thresholds:
          - max_connections: 4294967295
            max_pending_requests: 4294967295
            max_requests: 4294967295
            max_retries: 4294967295
        common_lb_config: {healthy_panic_threshold: {}}
        metadata:
          filter_metadata:
            istio:
              services: [{host: reviews.example, name: reviews.example, namespace: default}]
    """)


def test_a_kubernetes_service_is_named_by_its_name() -> None:
    scene = Scene(replace(service(), from_kubernetes=True, name="reviews"))

    (named,) = scene.cluster()["metadata"]["filter_metadata"]["istio"]["services"]

    assert named["name"] == "reviews"


def test_every_port_but_udp_and_every_subset_has_a_cluster() -> None:
    ports = (
        ServicePort("http", 80, Protocol.HTTP),
        ServicePort("dns", 53, Protocol.UDP),
        ServicePort("again", 80, Protocol.TCP),
        ServicePort("grpc", 90, Protocol.GRPC),
    )
    scene = Scene(service(ports=ports)).ruled("subsets: [{name: v1, labels: {version: v1}}, {name: v2}]")

    assert list(scene.clusters()) == [
        f"outbound|{port}|{subset}|{HOST}" for port in (80, 90) for subset in ("", "v1", "v2")
    ]


def test_a_cluster_knows_its_rule_its_subset_and_their_places() -> None:
    scene = Scene(service(mesh_external=True)).ruled("subsets: [{name: v1}]")

    istio = scene.cluster("v1")["metadata"]["filter_metadata"]["istio"]

    assert istio["config"] == "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews"
    assert istio["subset"] == "v1"
    assert istio["external"] is True
    assert [str(origin) for origin in scene.resources()[0].origins] == ["services.yaml:3", "rules.yaml:7"]


RESOLUTIONS = [
    ("STATIC", "sidecar", "EDS", "LEAST_REQUEST"),
    ("STATIC", "router", "EDS", "LEAST_REQUEST"),
    ("NONE", "sidecar", "ORIGINAL_DST", "CLUSTER_PROVIDED"),
    ("NONE", "router", "EDS", "LEAST_REQUEST"),
    ("DNS", "sidecar", "STRICT_DNS", "LEAST_REQUEST"),
    ("DNS_ROUND_ROBIN", "sidecar", "LOGICAL_DNS", "LEAST_REQUEST"),
]


@pytest.mark.parametrize(("resolution", "proxy", "kind", "balancer"), RESOLUTIONS)
def test_the_resolution_decides_the_type(resolution: str, proxy: str, kind: str, balancer: str) -> None:
    cluster = Scene(service(resolution), [endpoint("10.0.0.1")]).seen_by(type=proxy).cluster()

    # Protobuf leaves out STATIC, Envoy's zero; none of these is.
    assert (cluster["type"], cluster["lb_policy"]) == (kind, balancer)


def test_names_stand_in_the_cluster_that_resolves_them() -> None:
    cluster = Scene(service("DNS"), [endpoint("a.example", port=443), endpoint("b.example")]).cluster()

    assert contains(
        cluster,
        yaml.safe_load("""
        dns_lookup_family: V4_ONLY
        dns_refresh_rate: 60s
        dns_jitter: 0.100s
        respect_dns_ttl: true
        typed_dns_resolver_config: {name: envoy.network.dns_resolver.cares}
        load_assignment:
          cluster_name: outbound|80||reviews.example
          endpoints:
          - load_balancing_weight: 2
            lb_endpoints:
            - endpoint: {address: {socket_address: {address: a.example, port_value: 443}}}
            - endpoint: {address: {socket_address: {address: b.example, port_value: 8080}}}
    """),
    )


@pytest.mark.parametrize(
    ("family", "lookup"), [("V4_ONLY", "V4_ONLY"), ("V6_ONLY", "V6_ONLY"), ("ALL", "V4_ONLY")]
)
def test_the_proxys_addresses_decide_what_is_asked_of_dns(family: str, lookup: str) -> None:
    cluster = Scene(service("DNS"), [endpoint("a.example")]).seen_by(ip_family=family).cluster()

    assert cluster["dns_lookup_family"] == lookup


def test_racing_addresses_asks_for_all_of_them() -> None:
    racing = service("DNS", annotations={"istio.io/connect-strategy": "RACE_FIRST_TCP_CONNECT"})

    cluster = Scene(racing, [endpoint("a.example")]).cluster()

    assert (cluster["type"], cluster["dns_lookup_family"]) == ("LOGICAL_DNS", "ALL")


def test_one_name_for_the_whole_cluster_is_the_first() -> None:
    cluster = Scene(service("DNS_ROUND_ROBIN"), [endpoint("a.example"), endpoint("b.example")]).cluster()

    (group,) = cluster["load_assignment"]["endpoints"]
    assert len(group["lb_endpoints"]) == 1


def test_dns_clusters_without_endpoints_are_left_out_one_by_one() -> None:
    scene = Scene(service("DNS"), [endpoint("a.example", labels={"version": "v1"})]).ruled(
        "subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]"
    )

    assert list(scene.clusters()) == [f"outbound|80||{HOST}", f"outbound|80|v1|{HOST}"]


def test_the_target_port_of_an_original_destination_overrides_the_port() -> None:
    ports = (ServicePort("http", 80, Protocol.HTTP, 8080),)

    cluster = Scene(service("NONE", ports=ports)).cluster()

    assert cluster["original_dst_lb_config"] == {"upstream_port_override": 8080}
    headless = Scene(service("NONE", ports=ports, from_kubernetes=True, headless=True)).cluster()
    assert "original_dst_lb_config" not in headless


def test_passthrough_balancing_dials_what_the_client_dialled() -> None:
    cluster = (
        Scene(endpoints=[endpoint("10.0.0.1")])
        .ruled("trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}")
        .cluster()
    )

    assert (cluster["type"], cluster["lb_policy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")
    assert "eds_cluster_config" not in cluster


def test_a_wildcard_of_dynamic_dns_becomes_a_forward_proxy() -> None:
    scene = Scene(service("DYNAMIC_DNS", hostname="*.wild.example"))

    cluster = scene.cluster()

    assert contains(
        cluster,
        yaml.safe_load("""
        lb_policy: CLUSTER_PROVIDED
        cluster_type:
          name: envoy.clusters.dynamic_forward_proxy
          typed_config:
            dns_cache_config: {name: "*.wild.example_dfp_dns_cache"}
    """),
    )
    assert scene.assignments() == {}


POLICIES = [
    # connection pool
    ("connectionPool: {tcp: {maxConnections: 5, connectTimeout: 2s}}",
     "{connect_timeout: 2s,"
     " circuit_breakers: {thresholds: [{max_connections: 5, max_requests: 4294967295}]}}"),
    ("connectionPool: {http: {http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRetries: 3}}",
     "circuit_breakers: {thresholds: [{max_pending_requests: 1, max_requests: 2, max_retries: 3}]}"),
    ("retryBudget: {}",
     "circuit_breakers: {thresholds: [{retry_budget: {budget_percent: {value: 20.0},"
     " min_retry_concurrency: 3}}]}"),
    ("retryBudget: {percent: 12.5, minRetryConcurrency: 7}",
     "circuit_breakers: {thresholds: [{retry_budget: {budget_percent: {value: 12.5},"
     " min_retry_concurrency: 7}}]}"),
    ("connectionPool: {tcp: {tcpKeepalive: {}}}", "upstream_connection_options: {tcp_keepalive: {}}"),
    ("connectionPool: {tcp: {tcpKeepalive: {probes: 9, time: 7200s, interval: 75s}}}",
     "upstream_connection_options: {tcp_keepalive: {keepalive_probes: 9, keepalive_time: 7200,"
     " keepalive_interval: 75}}"),
    # load balancing
    ("loadBalancer: {simple: RANDOM}", "lb_policy: RANDOM"),
    ("loadBalancer: {simple: LEAST_CONN}", "lb_policy: LEAST_REQUEST"),
    ("loadBalancer: {consistentHash: {httpHeaderName: x}}",
     "{lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: '1024'}}"),
    ("loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 7}}",
     "ring_hash_lb_config: {minimum_ring_size: '7'}"),
    ("loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 9}}}",
     "ring_hash_lb_config: {minimum_ring_size: '9'}"),
    ("loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}",
     "{lb_policy: MAGLEV, maglev_lb_config: {table_size: '65537'}}"),
    ("loadBalancer: {simple: LEAST_REQUEST, warmupDurationSecs: 10s}",
     "least_request_lb_config: {slow_start_config: {slow_start_window: 10s}}"),
    ("loadBalancer: {simple: LEAST_REQUEST, warmup: {duration: 10s}}",
     "least_request_lb_config: {slow_start_config: {slow_start_window: 10s,"
     " min_weight_percent: {value: 10.0},"
     " aggression: {default_value: 1.0, runtime_key: '('}}}"),
    ("loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 10s, aggression: 2, minimumPercent: 5}}",
     "round_robin_lb_config: {slow_start_config: {slow_start_window: 10s,"
     " min_weight_percent: {value: 5.0},"
     " aggression: {default_value: 2.0, runtime_key: '('}}}"),
    # outliers
    ("outlierDetection: {}",
     "{outlier_detection: {enforcing_success_rate: 0}, common_lb_config: {healthy_panic_threshold: {}}}"),
    ("outlierDetection: {consecutive5xxErrors: 7, interval: 5s, baseEjectionTime: 60s,"
     " maxEjectionPercent: 50, minHealthPercent: 40}",
     "{outlier_detection: {consecutive_5xx: 7, enforcing_consecutive_5xx: 100, interval: 5s,"
     " base_ejection_time: 60s, max_ejection_percent: 50},"
     " common_lb_config: {healthy_panic_threshold: {value: 40.0}}}"),
    ("outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 3}",
     "outlier_detection: {consecutive_5xx: 0, enforcing_consecutive_5xx: 0, consecutive_gateway_failure: 3,"
     " enforcing_consecutive_gateway_failure: 100}"),
    ("outlierDetection: {splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 4}",
     "outlier_detection: {split_external_local_origin_errors: true, consecutive_local_origin_failure: 4,"
     " enforcing_consecutive_local_origin_failure: 100, enforcing_local_origin_success_rate: 0}"),
    # the PROXY protocol
    ("proxyProtocol: {version: V2}",
     "transport_socket: {name: envoy.transport_sockets.upstream_proxy_protocol,"
     " typed_config: {config: {version: V2},"
     " transport_socket: {name: envoy.transport_sockets.raw_buffer}}}"),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "expected"), POLICIES)
def test_a_traffic_policy_in_envoys_words(policy: str, expected: str) -> None:
    cluster = Scene().ruled(f"trafficPolicy: {{{policy}}}").cluster()

    assert contains(cluster, yaml.safe_load(expected)), cluster


def test_round_robin_is_envoys_zero() -> None:
    assert "lb_policy" not in Scene().ruled("trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}").cluster()


def test_a_subset_overrides_block_by_block() -> None:
    scene = Scene().ruled("""
        trafficPolicy:
          loadBalancer: {simple: RANDOM}
          connectionPool: {tcp: {maxConnections: 5}}
        subsets:
        - name: v1
          trafficPolicy: {connectionPool: {http: {maxRetries: 2}}}
    """)

    subset = scene.cluster("v1")

    (threshold,) = subset["circuit_breakers"]["thresholds"]
    assert subset["lb_policy"] == "RANDOM"
    assert (threshold["max_retries"], threshold["max_connections"]) == (2, 4294967295)


def test_the_mesh_has_words_too() -> None:
    scene = (
        Scene()
        .meshed("""
        connectTimeout: 3s
        tcpKeepalive: {time: 30s, probes: 2}
        outboundClusterStatName: "%SERVICE_FQDN%:%SERVICE_PORT%:%SERVICE_PORT_NAME%:%SUBSET_NAME%"
    """)
        .ruled("""
        trafficPolicy: {connectionPool: {tcp: {tcpKeepalive: {probes: 9}}}}
        subsets: [{name: v1}]
    """)
    )

    assert contains(
        scene.cluster("v1"),
        yaml.safe_load("""
        connect_timeout: 3s
        upstream_connection_options: {tcp_keepalive: {keepalive_probes: 9, keepalive_time: 30}}
        alt_stat_name: "reviews.example:80:http:v1;"
    """),
    )


HTTP2 = {"explicit_http_config": {"http2_protocol_options": {}}}
HTTP1 = {"explicit_http_config": {"http_protocol_options": {}}}


def test_passthrough_dials_the_port_that_the_client_dialled() -> None:
    port = ServicePort("http", 80, Protocol.HTTP, target_port=8080)
    chosen = Scene(service(ports=(port,))).ruled("trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}")

    assert chosen.cluster()["type"] == "ORIGINAL_DST"
    assert "original_dst_lb_config" not in chosen.cluster()


def test_the_same_input_gives_the_same_bytes() -> None:
    spec = "subsets: [{name: v1, labels: {b: '2', a: '1'}}]"

    versions = [[each.version for each in Scene().ruled(spec).resources()] for _ in range(2)]

    assert versions[0] == versions[1]


def test_random_balancing_warms_nothing_up() -> None:
    for warmup in ("warmupDurationSecs: 10s", "warmup: {duration: 10s}"):
        cluster = Scene().ruled(f"trafficPolicy: {{loadBalancer: {{simple: RANDOM, {warmup}}}}}").cluster()
        assert not [name for name in cluster if name.endswith("_lb_config") and name != "common_lb_config"]


@pytest.mark.parametrize(
    ("target", "name"), [(8080, "8080;"), (None, "80;"), ("web", "80;")], ids=["number", "none", "by name"]
)
def test_statistics_may_be_named_by_the_target_port(target: int | str | None, name: str) -> None:
    ports = (ServicePort("http", 80, Protocol.HTTP, target),)
    scene = Scene(service(ports=ports)).meshed('outboundClusterStatName: "%TARGET_PORT%"')

    assert scene.cluster()["alt_stat_name"] == name


def test_limits_of_one_and_of_zero() -> None:
    def threshold(number: int) -> dict[str, Any]:
        pool = (
            f"{{tcp: {{maxConnections: {number}}}, http: {{http1MaxPendingRequests: {number},"
            f" http2MaxRequests: {number}, maxRetries: {number}}}}}"
        )
        (found,) = (
            Scene()
            .ruled(f"trafficPolicy: {{connectionPool: {pool}}}")
            .cluster()["circuit_breakers"]["thresholds"]
        )
        return found

    names = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    assert [threshold(1)[name] for name in names] == [1] * 4
    assert [threshold(0)[name] for name in names] == [4294967295] * 4
    # A pool of one kind leaves the limits of the other.
    (pending,) = (
        Scene()
        .ruled("trafficPolicy: {connectionPool: {http: {http1MaxPendingRequests: 5}}}")
        .cluster()["circuit_breakers"]["thresholds"]
    )
    assert [pending[name] for name in names] == [4294967295, 5, 4294967295, 4294967295]


@pytest.mark.parametrize(
    ("tls", "insecure"),
    [
        ("{mode: SIMPLE}", False),
        ("{mode: SIMPLE, subjectAltNames: [a.example]}", True),
        ("{mode: SIMPLE, sni: a.example}", True),
        ("{mode: DISABLE}", True),
    ],
)
def test_a_forward_proxy_says_whether_the_clients_choice_of_host_is_checked(tls: str, insecure: bool) -> None:
    scene = Scene(service("DYNAMIC_DNS", hostname="*.wild.example")).ruled(f"trafficPolicy: {{tls: {tls}}}")

    config = scene.cluster()["cluster_type"]["typed_config"]

    assert config.get("allow_insecure_cluster_options", False) is insecure
