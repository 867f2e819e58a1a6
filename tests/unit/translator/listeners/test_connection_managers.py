"""HTTP connection managers of sidecars and gateways: what mesh, node and ProxyConfig set; access logs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mizzen.config.mesh_config_text import parse_mesh_config
from mizzen.mesh.proxy.node import NodeError
from tests.unit.translator.listeners.listener_scenes import ADDRESS, gateway, router, sent, server, service

DOCUMENTS = (
    service("a.example", 8080, "HTTP"),
    service("own.example", 9000, "HTTP2", endpoints=(ADDRESS,)),
    gateway(server(80, "HTTP")),
)
OUT, IN = ("0.0.0.0_8080", 0), ("virtualInbound", 3)


def managers(mesh: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """The connection managers of all roles, in a mesh with that configuration."""
    own = sent(*DOCUMENTS, mesh=mesh, **metadata)
    edge = sent(*DOCUMENTS, mesh=mesh, to=router(**metadata))
    return {
        "outbound": own.manager(*OUT),
        "inbound": own.manager(*IN),
        "gateway": edge.manager("0.0.0.0_80"),
    }


def configured(**proxy_config: Any) -> dict[str, Any]:
    return managers({"defaultConfig": proxy_config})


def each(found: dict[str, Any], field: str) -> list[Any]:
    return [found[role].get(field) for role in ("outbound", "inbound", "gateway")]


def test_what_the_roles_differ_in() -> None:
    found = managers()
    assert each(found, "server_name") == [None, "istio-envoy", "istio-envoy"]
    assert each(found, "use_remote_address") == [False, False, True]
    assert each(found, "forward_client_cert_details") == [None, "APPEND_FORWARD", "SANITIZE_SET"]
    inbound = {"subject": True, "dns": True, "uri": True}
    assert each(found, "set_current_client_cert_details") == [None, inbound, {**inbound, "cert": True}]
    assert each(found, "http2_protocol_options") == [None, {}, None]
    assert each(found, "stat_prefix") == [
        "outbound_0.0.0.0_8080;",
        "inbound_0.0.0.0_9000;",
        "outbound_0.0.0.0_80;",
    ]


def test_what_all_have_in_common() -> None:
    for manager in managers().values():
        assert manager["stream_idle_timeout"] == "0s"
        assert manager["proxy_100_continue"] is True
        assert manager["upgrade_configs"] == [{"upgrade_type": "websocket"}]
        assert manager["tracing"]["random_sampling"] == {"value": 1.0}
        names = [one["name"].rpartition(".")[2] for one in manager["http_filters"]]
        assert names == ["grpc_stats", "fault", "cors", "router"]


def test_grpc_web_has_its_filter() -> None:
    found = sent(gateway(server(80, "GRPC-Web")), to=router()).manager("0.0.0.0_80")
    assert found["http_filters"][0]["name"] == "envoy.filters.http.grpc_web"


@pytest.mark.parametrize(
    ("mode", "normalize", "merge", "slashes"),
    [
        ("DEFAULT", True, None, None),
        ("BASE", True, None, None),
        ("NONE", False, None, None),
        ("MERGE_SLASHES", True, True, None),
        ("DECODE_AND_MERGE_SLASHES", True, True, "UNESCAPE_AND_FORWARD"),
    ],
)
def test_paths_are_normalised(mode: str, normalize: bool, merge: Any, slashes: Any) -> None:
    found = managers({"pathNormalization": {"normalization": mode}})
    assert each(found, "normalize_path") == [normalize] * 3
    assert each(found, "merge_slashes") == [merge] * 3
    action = slashes or "KEEP_UNCHANGED"
    assert each(found, "path_with_escaped_slashes_action") == [action] * 3


def test_metadata_of_the_node() -> None:
    found = managers(IDLE_TIMEOUT="9s", HTTP10="1")
    assert each(found, "common_http_protocol_options") == [{"idle_timeout": "9s"}] * 3
    assert each(found, "http_protocol_options") == [{"accept_http_10": True}] * 3
    own = sent(*DOCUMENTS, HTTP10="1")
    assert own.chains("0.0.0.0_8080")[0][0]["application_protocols"] == ["http/1.0", "http/1.1", "h2c"]


def test_tracing_can_be_off() -> None:
    assert each(managers({"enableTracing": False}), "tracing") == [None] * 3


def test_the_server_header() -> None:
    assert each(configured(proxyHeaders={"server": {"value": "me"}}), "server_name") == ["me"] * 3
    found = configured(proxyHeaders={"server": {"disabled": True}})
    assert each(found, "server_name") == [None] * 3
    assert each(found, "server_header_transformation") == ["PASS_THROUGH"] * 3
    for unsaid in ({}, {"disabled": False}):
        found = configured(proxyHeaders={"server": unsaid})
        assert each(found, "server_name") == [None, "istio-envoy", "istio-envoy"]
        assert each(found, "server_header_transformation") == [None] * 3


def test_the_names_of_inbound_calls_answers_are_istios() -> None:
    manager = sent(*DOCUMENTS, mesh={"defaultConfig": {"proxyHeaders": {"server": {"disabled": True}}}})
    chains = manager.listeners["virtualInbound"]["filter_chains"]
    found = [
        chain["filters"][-1]["typed_config"].get("server_header_transformation")
        for chain in chains
        if chain["filters"][-1]["typed_config"]["@type"].endswith(".HttpConnectionManager")
    ]
    assert found
    assert set(found) == {"PASS_THROUGH"}


def test_headers_that_are_turned_off_and_on() -> None:
    headers = {
        "requestId": {"disabled": True},
        "envoyDebugHeaders": {"disabled": True},
        "xForwardedPort": {"enabled": True},
        "preserveHttp1HeaderCase": True,
    }
    found = configured(proxyHeaders=headers)
    assert each(found, "generate_request_id") == [False] * 3
    assert each(found, "append_x_forwarded_port") == [True] * 3
    for manager in found.values():
        assert manager["http_filters"][-1]["typed_config"]["suppress_envoy_headers"] is True
        formatter = manager["http_protocol_options"]["header_key_format"]["stateful_formatter"]
        assert formatter["name"] == "preserve_case"


def test_client_certificates_of_inbound_calls() -> None:
    details = {"subject": False, "cert": True, "dns": False, "chain": True}
    found = configured(
        proxyHeaders={"forwardedClientCert": "SANITIZE", "setCurrentClientCertDetails": details}
    )
    # What a gateway forwards is a matter of its topology.
    assert each(found, "forward_client_cert_details") == [None, None, "SANITIZE_SET"]
    assert found["inbound"]["set_current_client_cert_details"] == {
        "subject": False,
        "cert": True,
        "chain": True,
        "uri": True,
    }


def test_what_stands_before_a_gateway() -> None:
    topology = {"numTrustedProxies": 2, "forwardClientCertDetails": "FORWARD_ONLY", "proxyProtocol": {}}
    found = configured(gatewayTopology=topology)
    assert each(found, "xff_num_trusted_hops") == [None, None, 2]
    assert found["gateway"]["forward_client_cert_details"] == "FORWARD_ONLY"
    assert "set_current_client_cert_details" not in found["gateway"]
    edge = sent(*DOCUMENTS, mesh={"defaultConfig": {"gatewayTopology": topology}}, to=router())
    assert edge.filters("0.0.0.0_80") == ["proxy_protocol"]


def test_limits_of_connections_go_before_all_else() -> None:
    limits = {
        "httpIdleTimeout": "1s",
        "httpMaxConnectionDuration": "2s",
        "httpMaxStreamDuration": "3s",
        "httpStreamIdleTimeout": "4s",
        "httpRequestTimeout": "5s",
        "httpRequestHeadersTimeout": "6s",
        "httpDrainTimeout": "7s",
        "httpMaxConcurrentStreams": 8,
        "httpMergeSlashes": True,
        "httpHeadersWithUnderscoresAction": "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
        "httpPathWithEscapedSlashesAction": "REJECT_REQUEST",
    }
    found = managers({"defaultConfig": {"connectionSettings": limits}}, IDLE_TIMEOUT="99s")
    common = {
        "idle_timeout": "1s",
        "max_connection_duration": "2s",
        "max_stream_duration": "3s",
        "headers_with_underscores_action": "DROP_HEADER",
    }
    assert each(found, "common_http_protocol_options") == [common] * 3
    assert each(found, "stream_idle_timeout") == ["4s"] * 3
    assert each(found, "request_timeout") == ["5s"] * 3
    assert each(found, "request_headers_timeout") == ["6s"] * 3
    assert each(found, "drain_timeout") == ["7s"] * 3
    assert each(found, "http2_protocol_options") == [{"max_concurrent_streams": 8}] * 3
    assert each(found, "merge_slashes") == [True] * 3
    assert each(found, "path_with_escaped_slashes_action") == ["REJECT_REQUEST"] * 3


def test_the_edge_profile_fills_in_what_a_gateway_lacks() -> None:
    settings = {"profile": "EDGE", "httpIdleTimeout": "30s"}
    found = configured(connectionSettings=settings)
    assert each(found, "request_timeout") == [None, None, "300s"]
    assert each(found, "path_with_escaped_slashes_action")[2] == "UNESCAPE_AND_REDIRECT"
    assert found["gateway"]["common_http_protocol_options"] == {
        "idle_timeout": "30s",
        "headers_with_underscores_action": "REJECT_REQUEST",
    }
    edge = sent(*DOCUMENTS, mesh={"defaultConfig": {"connectionSettings": settings}}, to=router())
    assert edge.listeners["0.0.0.0_80"]["per_connection_buffer_limit_bytes"] == 32768


def test_a_proxy_brings_its_own_configuration_in_place_of_the_default() -> None:
    mesh = {"defaultConfig": {"gatewayTopology": {"numTrustedProxies": 2}}}
    own = {"proxyHeaders": {"server": {"value": "mine"}}, "concurrency": 2, "unknown": {"to": "us"}}
    for given in (own, json.dumps(own)):
        found = managers(mesh, PROXY_CONFIG=given)
        assert each(found, "server_name") == ["mine"] * 3
        assert "xff_num_trusted_hops" not in found["gateway"]


@pytest.mark.parametrize("given", ["{", {"gatewayTopology": {"numTrustedProxies": "many"}}])
def test_a_wrong_configuration_of_a_proxy_is_told(given: Any) -> None:
    with pytest.raises(NodeError, match="PROXY_CONFIG"):
        router(PROXY_CONFIG=given)


@pytest.mark.parametrize(
    "field",
    [
        {"proxyMetadata": {"A": "b"}},
        {"tracing": {"sampling": 5}},
        {"proxyHeaders": {"metadataExchangeHeaders": {"mode": "IN_MESH"}}},
        {"connectionSettings": {"listenerConnectionLimit": 5}},
        {"connectionSettings": {"globalDownstreamConnectionLimit": 5}},
        {"connectionSettings": {"clusterPerConnectionBufferLimitBytes": 5}},
    ],
)
def test_what_takes_no_effect_is_named(field: dict[str, Any]) -> None:
    settings, found = parse_mesh_config(json.dumps({"defaultConfig": field}), "mesh.yaml")
    assert settings is not None
    (warning,) = [each for each in found if "takes no effect: " in each.message]
    assert warning.code == "MZ0016"


def logs(listener_scene: Any) -> list[Any]:
    """The access logs of an outbound chain, its rest, and its listener."""
    listener = listener_scene.listeners["0.0.0.0_8080"]
    rest = listener["default_filter_chain"]["filters"][0]["typed_config"]
    return [each.get("access_log") for each in (listener_scene.manager("0.0.0.0_8080"), rest, listener)]


def test_no_access_log_by_default() -> None:
    assert logs(sent(*DOCUMENTS)) == [None] * 3


def test_access_logs_in_text() -> None:
    http, tcp, listener = logs(sent(*DOCUMENTS, mesh={"accessLogFile": "/dev/stdout"}))
    assert http == tcp
    config = http[0]["typed_config"]
    assert config["path"] == "/dev/stdout"
    text = config["log_format"]["text_format_source"]["inline_string"]
    assert text.startswith("[%START_TIME%] ")
    assert text.endswith(" %ROUTE_NAME%\n")
    assert listener[0]["filter"] == {"response_flag_filter": {"flags": ["NR"]}}
    assert "filter" not in http[0]


def test_access_logs_in_a_format_of_ones_own() -> None:
    mesh = {"accessLogFile": "/log", "accessLogFormat": "%REQ_WITHOUT_QUERY(:PATH)%"}
    http, _, listener = logs(sent(*DOCUMENTS, mesh={**mesh, "disableEnvoyListenerLog": True}))
    log_format = http[0]["typed_config"]["log_format"]
    assert log_format["text_format_source"] == {"inline_string": "%REQ_WITHOUT_QUERY(:PATH)%\n"}
    assert [each["name"] for each in log_format["formatters"]] == ["envoy.formatter.req_without_query"]
    assert listener is None


@pytest.mark.parametrize(
    ("text", "fields"), [('{"p": "%PROTOCOL%"}', {"p": "%PROTOCOL%"}), ("", None), ("no json", None)]
)
def test_access_logs_in_json(text: str, fields: Any) -> None:
    mesh = {"accessLogFile": "/log", "accessLogEncoding": "JSON", "accessLogFormat": text}
    log_format = logs(sent(*DOCUMENTS, mesh=mesh))[0][0]["typed_config"]["log_format"]["json_format"]
    if fields is None:
        assert len(log_format) == 24
        assert log_format["upstream_cluster"] == "%UPSTREAM_CLUSTER_RAW%"
    else:
        assert log_format == fields
    _, found = parse_mesh_config(json.dumps(mesh), "mesh.yaml")
    assert ["not a JSON object" in each.message for each in found] == ([True] if text == "no json" else [])
