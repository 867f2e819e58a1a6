"""The settings of the mesh: defaults, fields, and fields that take no effect."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml

from mizzen.config import (
    MeshConfig,
    ProxyConfig,
    mesh_config_of,
    parse_documents,
    parse_mesh_config,
    to_config,
)
from mizzen.config.mesh_config import OutboundTrafficPolicyMode
from mizzen.config.mesh_config_text import UNSERVED_FIELDS
from mizzen.config.schema_fields import fields_of


def test_defaults_are_those_of_istiod() -> None:
    settings, diagnostics = parse_mesh_config(b"", "mesh.yaml")
    assert diagnostics == ()
    assert settings == MeshConfig()
    assert settings.root_namespace == "istio-system"
    assert settings.trust_domain == "cluster.local"
    assert settings.outbound_traffic_policy.mode is OutboundTrafficPolicyMode.ALLOW_ANY
    assert settings.connect_timeout == timedelta(seconds=10)
    assert settings.protocol_detection_timeout == timedelta(0)
    assert settings.dns_refresh_rate == timedelta(seconds=60)
    assert settings.default_service_export_to == ("*",)
    assert (settings.proxy_listen_port, settings.proxy_inbound_listen_port, settings.proxy_http_port) == (
        15001,
        15006,
        0,
    )
    assert settings.locality_lb_setting.enabled is True
    assert settings.default_config == ProxyConfig()
    # Ours, not Istio's: docs/decisions/0003-auto-mtls-off.md.
    assert settings.enable_auto_mtls is False


def test_fields_are_read() -> None:
    settings, diagnostics = parse_mesh_config(
        """
rootNamespace: config
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
connectTimeout: 1500ms
meshMTLS: {minProtocolVersion: TLSV1_3}
defaultTrafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}
defaultHttpRetryPolicy: {attempts: 0}
accessLogFile: /dev/stdout
accessLogEncoding: JSON
enableAutoMtls: true
pathNormalization: {normalization: MERGE_SLASHES}
defaultConfig:
  gatewayTopology: {numTrustedProxies: 2, forwardClientCertDetails: SANITIZE_SET}
  proxyHeaders: {server: {disabled: true}}
  connectionSettings: {profile: EDGE, httpIdleTimeout: 1h}
""",
        "mesh.yaml",
    )
    assert diagnostics == ()
    assert settings is not None
    assert settings.root_namespace == "config"
    assert settings.outbound_traffic_policy.mode is OutboundTrafficPolicyMode.REGISTRY_ONLY
    assert settings.connect_timeout == timedelta(seconds=1.5)
    assert settings.mesh_mtls is not None
    assert settings.default_traffic_policy is not None
    assert settings.default_traffic_policy.outlier_detection is not None
    assert settings.default_traffic_policy.outlier_detection.consecutive_5xx_errors == 3
    assert settings.default_config.gateway_topology is not None
    assert settings.default_config.gateway_topology.num_trusted_proxies == 2
    assert settings.default_config.connection_settings is not None
    assert settings.default_config.connection_settings.http_idle_timeout == timedelta(hours=1)


def test_a_policy_without_a_mode_keeps_the_default() -> None:
    settings, _ = parse_mesh_config("outboundTrafficPolicy: {}\n", "mesh.yaml")
    assert settings is not None
    assert settings.outbound_traffic_policy.mode is OutboundTrafficPolicyMode.ALLOW_ANY


@pytest.mark.parametrize("field", sorted(UNSERVED_FIELDS))
def test_every_field_without_effect_is_named(field: str) -> None:
    value: dict[str, Any] = {}
    without: dict[str, Any] = {}
    for step in reversed(field.split(".")):
        is_leaf = not value and not without
        name, listed = step.removesuffix("[]"), step.endswith("[]")
        value = {name: [value] if listed else value}
        without = {} if is_leaf else {name: [without] if listed else without}
    settings, [diagnostic] = parse_mesh_config(yaml.safe_dump(value), "mesh.yaml")
    assert settings == parse_mesh_config(yaml.safe_dump(without), "mesh.yaml")[0]
    assert diagnostic.severity == "warning"
    line = len(field.split("."))
    assert str(diagnostic).startswith(f"mesh.yaml:{line}: {field.replace('[]', '[0]')}: takes no effect: ")


def test_no_field_is_both_served_and_unserved() -> None:
    served = set(fields_of(MeshConfig)) | {f"defaultConfig.{name}" for name in fields_of(ProxyConfig)}
    assert not served & UNSERVED_FIELDS.keys()


def test_unknown_fields_are_warnings_and_do_not_spoil_the_rest() -> None:
    settings, diagnostics = parse_mesh_config(
        "trustDomian: a\nlocalityLbSetting: {enabled: false, enbled: true}\nzzz: null\n", "mesh.yaml"
    )
    assert settings is not None
    assert settings.locality_lb_setting.enabled is False
    assert [str(each) for each in diagnostics] == [
        "mesh.yaml:1: trustDomian: is not a field of MeshConfig and takes no effect; did you mean "
        "`trustDomain`?",
        "mesh.yaml:2: localityLbSetting.enbled: is not a field of MeshConfig and takes no effect; did you "
        "mean `enabled`?",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("connectTimeout: 999us\n", "mesh.yaml:1: connectTimeout: is out of range; give 1ms to 1h"),
        ("connectTimeout: 2h\n", "mesh.yaml:1: connectTimeout: is out of range; give 1ms to 1h"),
        ("connectTimeout: soon\n", '"soon" is not a duration'),
        ("proxyListenPort: 70000\n", "must be at most 65535"),
        ("outboundTrafficPolicy: {mode: REGISTRY}\n", "did you mean REGISTRY_ONLY?"),
        ("accessLogFile: [x]\n", "accessLogFile: must be a string; not a list"),
        ("- a\n", "must be a mapping of MeshConfig's fields; not a list"),
        ("a: 'x\n", "mesh.yaml:2: "),
        ("rootNamespace: A_b\n", "mesh.yaml:1: rootNamespace: "),
        ("trustDomain: a..b\n", "mesh.yaml:1: trustDomain: "),
        ("trustDomainAliases: [a, '']\n", "trustDomainAliases[1]: a trust domain is empty"),
        ("defaultServiceExportTo: ['*', a]\n", "defaultServiceExportTo: "),
        ("defaultServiceExportTo: ['.', '.']\n", "defaultServiceExportTo[1]: "),
        ("defaultVirtualServiceExportTo: ['~']\n", "defaultVirtualServiceExportTo[0]: "),
        ("serviceSettings: [{hosts: ['a_b!']}]\n", "serviceSettings[0].hosts[0]: "),
        ("proxyListenPort: 0\n", "proxyListenPort: 0 is not a port"),
        ("proxyHttpPort: 15001\n", "proxyHttpPort: 15001 is proxyListenPort too"),
        ("tcpKeepalive: {interval: 0s}\n", "tcpKeepalive.interval: 0s is too short"),
        ("tcpKeepalive: {time: 0s}\n", "tcpKeepalive.time: 0s is too short"),
        ("defaultInboundHttpRetryPolicy: {attempts: -1}\n", "defaultInboundHttpRetryPolicy.attempts: -1 is"),
        ("dnsRefreshRate: 0s\n", "dnsRefreshRate: 0s is too short"),
        ("protocolDetectionTimeout: -1s\n", "protocolDetectionTimeout: is negative"),
        ("meshMTLS:\n  ecdhCurves: [P-256]\n", "mesh.yaml:2: meshMTLS.ecdhCurves: curves cannot be chosen"),
        ("defaultHttpRetryPolicy: {attempts: -1}\n", "defaultHttpRetryPolicy.attempts: -1 is negative"),
        (
            "defaultTrafficPolicy:\n  outlierDetection:\n    interval: 0s\n",
            "mesh.yaml:3: defaultTrafficPolicy.outlierDetection.interval: ",
        ),
        (
            "localityLbSetting: {distribute: [{from: a, to: {b: 50}}]}\n",
            "localityLbSetting.distribute[0].to: the shares sum to 50",
        ),
        ("accessLogFormat: '%REQ%'\n", "mesh.yaml:1: accessLogFormat: %REQ% needs the name of a header"),
        (
            'accessLogEncoding: JSON\naccessLogFormat: \'{"a": {"b": ["%PROTOCOL(x)%"]}}\'\n',
            "accessLogFormat: %PROTOCOL% takes no arguments",
        ),
        ("rootNamespace: a\nrootNamespace: b\n", "the key is there twice, first on line 1"),
        ("rootNamespace: a\n---\nrootNamespace: b\n", "mesh.yaml:3: a second document"),
    ],
)
def test_mistakes_are_errors(text: str, words: str) -> None:
    settings, diagnostics = parse_mesh_config(text, "mesh.yaml")
    assert settings is None
    assert any(words in str(each) for each in diagnostics)


@pytest.mark.parametrize(
    "text",
    [
        "connectTimeout: 1ms\n",
        "connectTimeout: 1h\n",
        "defaultServiceExportTo: ['~']\n",
        "defaultServiceExportTo: ['.']\n",
        "defaultServiceExportTo: ['.', a]\n",
        "defaultVirtualServiceExportTo: ['.']\n",
        "defaultDestinationRuleExportTo: ['.']\n",
        "proxyHttpPort: 0\n",
        "accessLogEncoding: JSON\naccessLogFormat: ''\n",
        'accessLogEncoding: JSON\naccessLogFormat: \'{"a": {"b": ["%PROTOCOL%", 1, null]}}\'\n',
    ],
)
def test_the_ends_of_what_is_possible(text: str) -> None:
    settings, diagnostics = parse_mesh_config(text, "mesh.yaml")
    assert settings is not None
    assert diagnostics == ()


@pytest.mark.parametrize("text", ["'[1]'", "'\"%PROTOCOL%\"'", "'%PROTOCOL% %REQ%'", "'{'"])
def test_a_log_format_that_is_no_json_object_is_said_to_be_passed_over(text: str) -> None:
    settings, diagnostics = parse_mesh_config(
        f"accessLogEncoding: JSON\naccessLogFormat: {text}\n", "mesh.yaml"
    )
    assert settings is not None
    [warning] = map(str, diagnostics)
    assert warning.startswith(
        "mesh.yaml:2: accessLogFormat: is not a JSON object, and accessLogEncoding is JSON"
    )


def test_questionable_settings_are_warnings() -> None:
    settings, diagnostics = parse_mesh_config(
        "tlsDefaults: {ecdhCurves: [P-256, P-1]}\n"
        "defaultInboundHttpRetryPolicy: {attempts: 1, perTryTimeout: 1s}\n",
        "mesh.yaml",
    )
    assert settings is not None
    assert [(each.severity, each.origin.line, each.path) for each in diagnostics] == [
        ("warning", 2, "defaultInboundHttpRetryPolicy.perTryTimeout"),
        ("warning", 1, "tlsDefaults.ecdhCurves[1]"),
    ]


def test_bytes_that_are_no_text() -> None:
    settings, [diagnostic] = parse_mesh_config(b"a: \xff\n", "mesh.yaml")
    assert settings is None
    assert "UTF-8" in diagnostic.message


def config_map(mesh: str) -> bytes:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio}}\ndata:\n  other: x\n  mesh: {mesh}\n"
    ).encode()


def test_the_config_map_gives_the_settings_and_lines_inside_its_text() -> None:
    text = config_map("|-\n    rootNamespace: config\n    trustDomian: x\n    zzz: 1")
    [document] = parse_documents(text, "cm.yaml").documents
    config, diagnostics = to_config(document)
    assert config is not None
    assert [str(each).split(": ")[:2] for each in diagnostics] == [
        ["cm.yaml:8", "data.mesh.trustDomian"],
        ["cm.yaml:9", "data.mesh.zzz"],
    ]
    settings, _ = mesh_config_of(config)
    assert settings is not None
    assert settings.root_namespace == "config"


def test_a_bad_config_map_is_refused() -> None:
    text = config_map("|\n    rootNamespace: a\n\n    trustDomain: ''")
    [document] = parse_documents(text, "cm.yaml").documents
    assert str(to_config(document)[1][0]).startswith("cm.yaml:9: data.mesh.trustDomain: ")
    [document] = parse_documents(config_map("'connectTimeout: 5d'"), "cm.yaml").documents
    config, [diagnostic] = to_config(document)
    assert config is None
    assert str(diagnostic).startswith('cm.yaml:6: data.mesh.connectTimeout: "5d" is not a duration')
