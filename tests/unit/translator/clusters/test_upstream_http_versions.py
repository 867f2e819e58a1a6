"""The HTTP version towards endpoints, and what HTTP and TCP connections to them are told."""

from __future__ import annotations

import pytest
import yaml

from mizzen.config.proxy_config import ProxyConfig
from tests.unit.translator.clusters.cluster_scenes import Scene, service
from tests.unit.translator.clusters.test_outbound_clusters import HTTP1, HTTP2

OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


DOWNSTREAM = {"use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}}


PROTOCOLS = [
    ("HTTP", "", "", None),
    ("HTTP2", "", "", HTTP2),
    ("GRPC", "", "", HTTP2),
    ("GRPC-Web", "", "", HTTP2),
    ("TCP", "", "", None),
    ("UnsupportedProtocol", "", "", DOWNSTREAM),
    ("HTTP", "{h2UpgradePolicy: UPGRADE}", "", HTTP2),
    ("TCP", "{h2UpgradePolicy: UPGRADE}", "", HTTP2),
    ("UnsupportedProtocol", "{h2UpgradePolicy: UPGRADE}", "", DOWNSTREAM),
    ("HTTP", "", "UPGRADE", HTTP2),
    ("TCP", "", "UPGRADE", None),
    ("HTTP", "{h2UpgradePolicy: DO_NOT_UPGRADE}", "UPGRADE", None),
    ("HTTP", "{useClientProtocol: true}", "UPGRADE", DOWNSTREAM),
    ("HTTP", "{idleTimeout: 5s}", "", HTTP1 | {"common_http_protocol_options": {"idle_timeout": "5s"}}),
    ("HTTP", "{maxConcurrentStreams: 9}", "", None),
    ("HTTP2", "{maxConcurrentStreams: 9, http2KeepAlive: {interval: 5s, timeout: 1s}}", "",
     {"explicit_http_config": {"http2_protocol_options": {
         "max_concurrent_streams": 9, "connection_keepalive": {"interval": "5s", "timeout": "1s"}}}}),
    ("HTTP2", "{maxConcurrentStreams: 9}", "",
     {"explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 9}}}),
    ("HTTP2", "{http2KeepAlive: {interval: 5s, timeout: 1s}}", "",
     {"explicit_http_config": {"http2_protocol_options": {
         "connection_keepalive": {"interval": "5s", "timeout": "1s"}}}}),
    ("HTTP", "{maxRequestsPerConnection: 1}", "",
     HTTP1 | {"common_http_protocol_options": {"max_requests_per_connection": 1}}),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "http", "mesh", "expected"), PROTOCOLS)
def test_the_http_version_towards_the_endpoints(
    protocol: str, http: str, mesh: str, expected: object
) -> None:
    scene = Scene(service(protocol=protocol))
    if mesh:
        scene = scene.meshed(f"h2UpgradePolicy: {mesh}")
    if http:
        scene = scene.ruled(f"trafficPolicy: {{connectionPool: {{http: {http}}}}}")

    options = scene.cluster().get("typed_extension_protocol_options", {}).get(OPTIONS)

    if expected is None:
        assert options is None
    else:
        assert {key: value for key, value in options.items() if key != "@type"} == expected


PRESERVED = {
    "header_key_format": {
        "stateful_formatter": {
            "name": "preserve_case",
            "typed_config": {
                "@type": "type.googleapis.com/"
                "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
            },
        }
    }
}


PRESERVE = "proxyHeaders: {preserveHttp1HeaderCase: true}"


KEEPS_CASE = {"explicit_http_config": {"http_protocol_options": PRESERVED}}


CLIENTS_KEEPS_CASE = {
    "use_downstream_protocol_config": {"http_protocol_options": PRESERVED, "http2_protocol_options": {}}
}


CASES = [
    ("HTTP", "sidecar", "", KEEPS_CASE),
    ("HTTP", "router", "", KEEPS_CASE),
    ("HTTP", "sidecar", "{useClientProtocol: true}", CLIENTS_KEEPS_CASE),
    # Upgraded, the case would be lost.
    ("HTTP", "sidecar", "{h2UpgradePolicy: UPGRADE}", KEEPS_CASE),
    ("UnsupportedProtocol", "sidecar", "", CLIENTS_KEEPS_CASE),
    ("UnsupportedProtocol", "router", "{h2UpgradePolicy: UPGRADE}", KEEPS_CASE),
    ("HTTP2", "sidecar", "", HTTP2),
    ("HTTP2", "sidecar", "{useClientProtocol: true}", DOWNSTREAM),
    ("TCP", "sidecar", "{h2UpgradePolicy: UPGRADE}", HTTP2),
    ("TCP", "sidecar", "", None),
]


@pytest.mark.parametrize(("protocol", "kind", "http", "expected"), CASES)
@pytest.mark.parametrize("own", [False, True])
def test_the_case_of_headers_is_kept_towards_endpoints_too(
    protocol: str, kind: str, http: str, expected: object, own: bool
) -> None:
    scene = Scene(service(protocol=protocol)).seen_by(type=kind)
    if own:
        scene = scene.seen_by(type=kind, proxy_config=ProxyConfig.model_validate(yaml.safe_load(PRESERVE)))
    else:
        scene = scene.meshed(f"defaultConfig: {{{PRESERVE}}}")
    if http:
        scene = scene.ruled(f"trafficPolicy: {{connectionPool: {{http: {http}}}}}")

    options = scene.cluster().get("typed_extension_protocol_options", {}).get(OPTIONS)

    kept = None if options is None else {key: value for key, value in options.items() if key != "@type"}
    assert kept == expected


def test_gateways_do_not_follow_the_clients_version() -> None:
    scene = Scene(service(protocol="UnsupportedProtocol")).seen_by(type="router")

    assert "typed_extension_protocol_options" not in scene.cluster()


def test_idle_tcp_connections_close_too_and_http_goes_first() -> None:
    tcp = "trafficPolicy: {connectionPool: {tcp: {idleTimeout: 9s, maxConnectionDuration: 60s}%s}}"
    both = Scene().ruled(tcp % ", http: {idleTimeout: 5s}").cluster()
    only_tcp = Scene().ruled(tcp % "").cluster()

    common = [
        cluster["typed_extension_protocol_options"][OPTIONS]["common_http_protocol_options"]
        for cluster in (both, only_tcp)
    ]
    assert [each["idle_timeout"] for each in common] == ["5s", "9s"]
    assert common[0]["max_connection_duration"] == "60s"


def test_errors_of_the_rules_choice_are_matched_by_status() -> None:
    scene = Scene().ruled("trafficPolicy: {outlierDetection: {outlierDetectionHttpErrorCodes: [429, 503]}}")

    matcher = scene.cluster()["typed_extension_protocol_options"][OPTIONS]["outlier_detection"][
        "error_matcher"
    ]

    statuses = [
        rule["http_response_headers_match"]["headers"][0]["string_match"]["exact"]
        for rule in matcher["or_match"]["rules"]
    ]
    assert statuses == ["429", "503"]
