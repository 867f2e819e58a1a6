"""The rules of DestinationRule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic
from tests.unit.config.validation.destination_rule_yaml import OUTLIER, T, policy, rule

Validate = Callable[..., list[Diagnostic]]
Expect = Callable[..., None]

TLS = "spec.subsets[0].trafficPolicy.tls"


def http(fields: str) -> str:
    return policy(f"connectionPool: {{http: {{{fields}}}}}")


def tcp(fields: str) -> str:
    return policy(f"connectionPool: {{tcp: {{{fields}}}}}")


def tls(fields: str) -> str:
    return rule(f"subsets: [{{name: v1, trafficPolicy: {{tls: {{{fields}}}}}}}]")


ERRORS = [
    ("{host: ''}", "{host: '*'}", "spec.host", "the host is empty"),
    ("{host: a_b}", "{host: '*.a.b'}", "spec.host", "is invalid"),
    # Subsets
    (rule("subsets: [{}]"), rule("subsets: [{name: v1}]"), "spec.subsets[0].name", "the subset has no name"),
    (
        rule("subsets: [{name: v.1}]"),
        rule("subsets: [{name: v-1}]"),
        "spec.subsets[0].name",
        "valid name of a subset",
    ),
    (
        rule("subsets: [{name: v1}, {name: v1}]"),
        rule("subsets: [{name: v1}, {name: v2}]"),
        "spec.subsets[1].name",
        '"v1" names another subset',
    ),
    (
        rule("subsets: [{name: v1, labels: {a: '*'}}]"),
        rule("subsets: [{name: v1, labels: {a: b}}]"),
        "spec.subsets[0].labels.a",
        "is not a label's value",
    ),
    (
        rule("subsets: [{name: v1, trafficPolicy: {}}]"),
        rule(f"subsets: [{{name: v1, trafficPolicy: {{{OUTLIER}}}}}]"),
        "spec.subsets[0].trafficPolicy",
        "trafficPolicy is empty",
    ),
    # Policies
    (policy(""), policy("tls: {}"), T, "trafficPolicy is empty"),
    (
        policy("tunnel: {targetHost: a, targetPort: 1}, proxyProtocol: {}"),
        policy("tunnel: {targetHost: a, targetPort: 1}"),
        T + ".proxyProtocol",
        "proxyProtocol and tunnel exclude",
    ),
    (
        policy("portLevelSettings: [{tls: {}}]"),
        policy("portLevelSettings: [{port: {number: 80}, tls: {}}]"),
        T + ".portLevelSettings[0].port",
        "the port is missing",
    ),
    (
        policy("portLevelSettings: [{port: {number: 80}}]"),
        policy("portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {}}}]"),
        T + ".portLevelSettings[0]",
        "the port has no policy",
    ),
    (
        policy("portLevelSettings: [{port: {number: 80}, connectionPool: {}}]"),
        policy("portLevelSettings: [{port: {number: 80}, connectionPool: {http: {}}}]"),
        T + ".portLevelSettings[0].connectionPool",
        "connectionPool is empty",
    ),
    (
        policy("tunnel: {protocol: GET, targetHost: a, targetPort: 1}"),
        policy("tunnel: {protocol: POST, targetHost: a, targetPort: 1}"),
        T + ".tunnel.protocol",
        '"GET" is not a protocol of tunnels',
    ),
    (
        policy("tunnel: {targetHost: '*.a', targetPort: 1}"),
        policy("tunnel: {targetHost: 10.0.0.1, targetPort: 1}"),
        T + ".tunnel.targetHost",
        '"*.a" is not a host',
    ),
    (
        policy("tunnel: {targetHost: a}"),
        policy("tunnel: {targetHost: a, targetPort: 1}"),
        T + ".tunnel.targetPort",
        "0 is not a port number",
    ),
    # Connection pool
    (policy("connectionPool: {}"), tcp(""), T + ".connectionPool", "connectionPool is empty"),
    *(
        (http(f"{field}: -1"), http(f"{field}: 0"), f"{T}.connectionPool.http.{field}", "-1 is negative")
        for field in (
            "http1MaxPendingRequests",
            "http2MaxRequests",
            "maxRequestsPerConnection",
            "maxRetries",
            "maxConcurrentStreams",
        )
    ),
    (
        tcp("maxConnections: -1"),
        tcp("maxConnections: 1"),
        T + ".connectionPool.tcp.maxConnections",
        "is negative",
    ),
    (
        http("idleTimeout: 0s"),
        http("idleTimeout: 1ms"),
        T + ".connectionPool.http.idleTimeout",
        "0s is too short",
    ),
    (
        tcp("connectTimeout: 0s"),
        tcp("idleTimeout: 0s"),
        T + ".connectionPool.tcp.connectTimeout",
        "too short",
    ),
    (tcp("idleTimeout: 10us"), tcp("idleTimeout: 1s"), T + ".connectionPool.tcp.idleTimeout", "too short"),
    (
        tcp("maxConnectionDuration: 0.1ms"),
        tcp("maxConnectionDuration: 1h"),
        T + ".connectionPool.tcp.maxConnectionDuration",
        "0.0001s is too short",
    ),
    (
        tcp("tcpKeepalive: {time: 0s}"),
        tcp("tcpKeepalive: {probes: 3, time: 1h, interval: 75s}"),
        T + ".connectionPool.tcp.tcpKeepalive.time",
        "too short",
    ),
    (
        tcp("tcpKeepalive: {interval: 1.0001s}"),
        tcp("tcpKeepalive: {interval: 1.001s}"),
        T + ".connectionPool.tcp.tcpKeepalive.interval",
        "1.0001s is too fine",
    ),
    (
        http("h2UpgradePolicy: UPGRADE, useClientProtocol: true"),
        http("h2UpgradePolicy: DO_NOT_UPGRADE, useClientProtocol: true"),
        T + ".connectionPool.http.useClientProtocol",
        "exclude each other",
    ),
    (
        http("http2KeepAlive: {timeout: 1s}"),
        http("http2KeepAlive: {timeout: 1s, interval: 1s}"),
        T + ".connectionPool.http.http2KeepAlive.interval",
        "the interval is missing",
    ),
    (
        http("http2KeepAlive: {interval: 1s}"),
        http("http2KeepAlive: {timeout: 1s, interval: 1s}"),
        T + ".connectionPool.http.http2KeepAlive.timeout",
        "the timeout is missing",
    ),
    (
        policy("retryBudget: {percent: 100.5}"),
        policy("retryBudget: {percent: 100}"),
        T + ".retryBudget.percent",
        "100.5 is not a percentage",
    ),
    (tls("sni: " + "a" * 256), tls("sni: " + "a" * 255), TLS + ".sni", "at most 255 bytes"),
    # Outlier detection
    (
        policy("outlierDetection: {consecutiveLocalOriginFailures: 1}"),
        policy("outlierDetection: {consecutiveLocalOriginFailures: 1, splitExternalLocalOriginErrors: true}"),
        T + ".outlierDetection.consecutiveLocalOriginFailures",
        "only with splitExternalLocalOriginErrors",
    ),
    *(
        (
            policy(f"outlierDetection: {{{field}: {bad}}}"),
            policy(f"outlierDetection: {{{field}: {good}}}"),
            f"{T}.outlierDetection.{field}",
            words,
        )
        for field, bad, good, words in (
            ("interval", "0s", "1s", "too short"),
            ("baseEjectionTime", "0s", "1s", "too short"),
            ("maxEjectionPercent", "101", "100", "101 is not a percentage"),
            ("minHealthPercent", "-1", "0", "-1 is not a percentage"),
        )
    ),
    # TLS
    (
        tls("mode: SIMPLE, insecureSkipVerify: true, caCertificates: c"),
        tls("mode: SIMPLE, insecureSkipVerify: false, caCertificates: c"),
        TLS + ".caCertificates",
        "insecureSkipVerify verifies nothing",
    ),
    (
        tls("mode: SIMPLE, insecureSkipVerify: true, credentialName: c"),
        tls("mode: MUTUAL, insecureSkipVerify: true, credentialName: c"),
        TLS + ".credentialName",
        "insecureSkipVerify verifies nothing",
    ),
    (
        tls("mode: MUTUAL, credentialName: c, insecureSkipVerify: true, subjectAltNames: [a]"),
        tls("mode: MUTUAL, credentialName: c, subjectAltNames: [a]"),
        TLS + ".subjectAltNames",
        "insecureSkipVerify verifies nothing",
    ),
    *(
        (
            tls(f"mode: SIMPLE, credentialName: c, {field}: f"),
            tls("mode: SIMPLE, credentialName: c, sni: a"),
            f"{TLS}.{field}",
            "the credential of credentialName holds this",
        )
        for field in ("clientCertificate", "privateKey", "caCertificates", "caCrl")
    ),
    (
        tls("mode: MUTUAL, privateKey: k"),
        tls("mode: MUTUAL, privateKey: k, clientCertificate: c"),
        TLS + ".clientCertificate",
        "mode MUTUAL needs the client's certificate",
    ),
    (
        tls("mode: MUTUAL, clientCertificate: c"),
        tls("mode: MUTUAL, credentialName: c"),
        TLS + ".privateKey",
        "mode MUTUAL needs the key",
    ),
    (
        tls("mode: SIMPLE, credentialName: 'configmap://other/c'"),
        tls("mode: SIMPLE, credentialName: 'configmap://shop/c'"),
        TLS + ".credentialName",
        'it must be in "shop"',
    ),
    (
        tls("mode: SIMPLE, credentialName: 'configmap://'"),
        tls("mode: SIMPLE, credentialName: 'configmap://c'"),
        TLS + ".credentialName",
        "the name of the ConfigMap is missing",
    ),
    # Selector and visibility
    (
        rule("workloadSelector: {matchLabels: {a: b}}, exportTo: ['*']"),
        rule("workloadSelector: {matchLabels: {a: b}}, exportTo: [shop]"),
        "spec.exportTo",
        "a rule with workloadSelector is for its own namespace only",
    ),
    (
        rule("workloadSelector: {matchLabels: {'a*': b}}"),
        rule("workloadSelector: {matchLabels: {a: b}}"),
        "spec.workloadSelector.matchLabels.a*",
        "the selector has a wildcard",
    ),
    (rule("exportTo: [., .]"), rule("exportTo: [., b]"), "spec.exportTo[1]", '"." is given twice'),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), ERRORS)
def test_errors(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("DestinationRule", bad, good, path, words)


WARNINGS = [
    (
        policy("retryBudget: {budgetInterval: 1s}"),
        policy("retryBudget: {minRetryConcurrency: 1}"),
        T + ".retryBudget.budgetInterval",
        "budgetInterval takes no effect",
        "MZ0001",
    ),
    *(
        (policy(f"tls: {{{bad}}}"), policy(f"tls: {{{good}}}"), T + path, words, "IST0128")
        for bad, good, path, words in (
            ("mode: SIMPLE", "mode: SIMPLE, caCertificates: c", ".tls", "trusts every authority"),
            ("mode: SIMPLE, sni: a", "mode: ISTIO_MUTUAL", ".tls", "mode SIMPLE without caCertificates"),
            (
                "mode: MUTUAL, clientCertificate: c, privateKey: k",
                "mode: MUTUAL, clientCertificate: c, privateKey: k, insecureSkipVerify: true",
                ".tls",
                "mode MUTUAL without caCertificates",
            ),
            (
                "mode: SIMPLE, credentialName: c",
                "mode: DISABLE",
                ".tls.credentialName",
                "this is for gateways only",
            ),
        )
    ),
    (
        policy("portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]"),
        policy("portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE, caCertificates: c}}]"),
        T + ".portLevelSettings[0].tls",
        "trusts every authority",
        "IST0129",
    ),
    (
        policy("portLevelSettings: [{port: {}, tls: {}}]"),
        policy("portLevelSettings: [{port: {number: 65535}, tls: {}}]"),
        T + ".portLevelSettings[0].port.number",
        "0 is not a port number",
        "IST0133",
    ),
    (
        rule("trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}"),
        rule(
            "trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}, workloadSelector: {matchLabels: {a: b}}"
        ),
        T + ".tls.credentialName",
        "write workloadSelector",
        "IST0128",
    ),
    (
        rule("workloadSelector: {}"),
        rule("workloadSelector: {matchLabels: {a: b}}"),
        "spec.workloadSelector",
        "the selector has no labels and picks every workload",
        "IST0133",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words", "code"), WARNINGS)
def test_warnings(expect: Expect, bad: str, good: str, path: str, words: str, code: str) -> None:
    expect("DestinationRule", bad, good, path, words, "warning", code)


def test_a_deprecated_count_that_is_ignored(validate: Validate) -> None:
    for block in ("trafficPolicy: {", "trafficPolicy: {portLevelSettings: [{port: {number: 80}, "):
        ends = "}]}" if "[" in block else "}"
        found = validate("DestinationRule", rule(f"{block}outlierDetection: {{consecutiveErrors: 5}}{ends}"))

        assert [(it.severity.value, it.code) for it in found] == [
            ("warning", "IST0002"),
            ("warning", "MZ0001"),
        ]
        assert found[0].message.endswith("write consecutive5xxErrors or consecutiveGatewayErrors")
    assert validate("DestinationRule", policy("outlierDetection: {consecutive5xxErrors: 5}")) == []


def test_a_negative_count(validate: Validate) -> None:
    found = validate("DestinationRule", policy("outlierDetection: {consecutiveErrors: -1}"))

    assert [it.severity.value for it in found] == ["error", "warning", "warning"]
