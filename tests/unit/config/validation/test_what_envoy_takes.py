"""What Envoy would refuse, or could not bear, is refused at its line before it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from mizzen.config.diagnostics import Diagnostic, Origin
from mizzen.config.document import Document
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.mesh_config_rules import check_mesh_config
from mizzen.config.mesh_config_text import parse_mesh_config
from mizzen.config.typed_documents import to_config
from mizzen.config.validation.cel import cel_problem
from mizzen.config.validation.load_balancer import is_prime

Validate = Callable[..., list[Diagnostic]]

HASH = "host: a, trafficPolicy: {loadBalancer: {consistentHash: {%s}}}"
ATTRIBUTE = HASH % "httpCookie: {name: a, attributes: [{name: %s, value: %s}]}"
LONG = "a" * 20_000


class NoLines:
    def line_of(self, path: Any) -> int:
        return 1


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (ATTRIBUTE % ('"a\\nb"', "b"), "attributes[0].name"),
        (ATTRIBUTE % ("a", '"b\\0"'), "attributes[0].value"),
        (ATTRIBUTE % ("a", LONG), "attributes[0].value"),
        (HASH % 'httpCookie: {name: "a\\r"}', "httpCookie.name"),
        (HASH % 'httpCookie: {name: a, path: "/\\n"}', "httpCookie.path"),
        (HASH % f"httpHeaderName: {LONG}", "httpHeaderName"),
        (HASH % "httpHeaderName: x, maglev: {tableSize: 1}", "maglev.tableSize"),
        ('host: a, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /c, sni: "a\\0b"}}', "tls.sni"),
    ],
)
def test_a_destination_rule_that_envoy_refuses(validate: Validate, spec: str, path: str) -> None:
    (diagnostic,) = validate("DestinationRule", f"{{{spec}}}")

    assert (diagnostic.severity, diagnostic.path.endswith(path)) == ("error", True)


@pytest.mark.parametrize(
    ("keepalive", "path", "words"),
    [
        ("time: 32768s", "time", "at most 32767s"),
        ("interval: 32768s", "interval", "at most 32767s"),
        ("probes: 128", "probes", "at most 127"),
        ("time: 999ms", "time", "at least 1s"),
        ("interval: 1ms", "interval", "at least 1s"),
    ],
)
def test_keep_alive_with_which_linux_opens_no_connection(
    validate: Validate, keepalive: str, path: str, words: str
) -> None:
    spec = "{host: a, trafficPolicy: {connectionPool: {tcp: {tcpKeepalive: {%s}}}}}"
    settings = MeshConfig.model_validate({"tcpKeepalive": yaml.safe_load(f"{{{keepalive}}}")})
    for found in (
        validate("DestinationRule", spec % keepalive),
        check_mesh_config(settings, lambda _: 1, "mesh.yaml"),
    ):
        (diagnostic,) = found
        assert diagnostic.path.endswith(f"tcpKeepalive.{path}")
        assert words in diagnostic.message
    assert not validate("DestinationRule", spec % "time: 32767s, interval: 32767s, probes: 127")
    assert not validate("DestinationRule", spec % "time: 1s, interval: 1s, probes: 0")


def test_a_header_with_an_expression_that_envoy_refuses(validate: Validate) -> None:
    spec = "{hosts: [a], http: [{route: [{destination: {host: a}}], headers: {request: {%s: {x: '%s'}}}}]}"

    for field in ("set", "add"):
        (diagnostic,) = validate("VirtualService", spec % (field, "%CEL(1+)%"))
        assert diagnostic.path == f"spec.http[0].headers.request.{field}.x"
        assert not validate("VirtualService", spec % (field, "%CEL(request.path)%"))


@pytest.mark.parametrize(
    "expression",
    [
        "request.path",
        "request.headers['x-a']",
        "a.size() > 1 ? b : 'c'",
        "!a && (b || -c)",
        "size(a[0]) + 2",
        "has(a.b)",
        "a in ['/a', \"b\"]",
        "[1, 2,]",
        "{'a': 1}",
        "int('1')",
        "a.matches('b')",
        "r'a'",
        "'a\\\\n'",
        "type(1)",
        "0x1f",
        "b'x'",
        ".a.b",
        "!!a",
        "--1",
        "'''a'''",
        "timestamp('a')",
    ],
)
def test_expressions_that_envoy_takes(expression: str) -> None:
    assert cel_problem(expression) is None


@pytest.mark.parametrize(
    "expression",
    [
        "1+",
        "(a",
        "a b",
        "a.in",
        "if",
        "#",
        "unknown(a)",
        "a.unknown()",
        "a.contains()",
        "[1].exists(x, x > 0)",
        "[1",
        "[,]",
        "(" * 30 + "a" + ")" * 30,
    ],
)
def test_expressions_that_envoy_refuses(expression: str) -> None:
    assert cel_problem(expression)


def test_one_is_not_prime_since_envoy_divides_by_the_size_less_one() -> None:
    assert not is_prime(1)


def test_a_socket_whose_path_the_system_does_not_take(validate: Validate) -> None:
    assert not validate("WorkloadEntry", f"{{address: 'unix:///{'a' * 106}'}}")
    (diagnostic,) = validate("WorkloadEntry", f"{{address: 'unix:///{'a' * 107}'}}")
    assert "107 bytes" in diagnostic.message
    assert validate("WorkloadEntry", f"{{address: 'unix://@{'a' * 107}'}}")


@pytest.mark.parametrize("path", [LONG, "/var/" + "a" * 256, "/a" * 2100, "/a\0b"])
def test_an_access_log_that_cannot_be_opened(path: str) -> None:
    (diagnostic,) = check_mesh_config(
        MeshConfig.model_validate({"accessLogFile": path}), lambda _: 1, "mesh.yaml"
    )
    assert diagnostic.path == "accessLogFile"


@pytest.mark.parametrize("section", ["http", "tcp"])
def test_weights_whose_sum_envoy_does_not_take(validate: Validate, section: str) -> None:
    one = "{destination: {host: a}, weight: %d}"
    spec = "{hosts: [a], %s: [{route: [%s]}]}"
    most = 2**31 - 1
    assert not validate("VirtualService", spec % (section, ", ".join([one % most] * 2 + [one % 1])))
    (diagnostic,) = validate("VirtualService", spec % (section, ", ".join([one % most] * 3)))
    assert (diagnostic.severity, diagnostic.path) == ("error", f"spec.{section}[0].route")
    assert "at most 4294967295" in diagnostic.message


def test_an_address_with_a_zone_is_none_since_envoy_looks_for_the_interface(validate: Validate) -> None:
    (diagnostic,) = validate("WorkloadEntry", "{address: 'fe80::1%eth0'}")
    assert diagnostic.severity == "error"
    (diagnostic,) = validate("Gateway", GATEWAY_AT % "'fe80::1%eth0'")
    assert "without a zone" in diagnostic.message


GATEWAY_AT = "{servers: [{port: {number: 80, protocol: HTTP, name: a}, hosts: [a.b], bind: %s}]}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"httpStreamIdleTimeout": "-1ms"}, "write 0s or more"),
        ({"httpDrainTimeout": "-1s"}, "write 0s or more"),
        ({"http2InitialStreamWindowSize": 65534}, "write at least 65535"),
        ({"http2InitialConnectionWindowSize": 0}, "write at least 65535"),
        ({"httpMaxConcurrentStreams": 0}, "write at least 1"),
    ],
)
def test_connection_settings_for_which_envoy_refuses_every_listener(
    settings: dict[str, Any], words: str
) -> None:
    text = json.dumps({"defaultConfig": {"connectionSettings": settings}})
    found, (diagnostic,) = parse_mesh_config(text, "mesh.yaml")
    assert found is None
    assert (diagnostic.severity, diagnostic.path) == (
        "error",
        f"defaultConfig.connectionSettings.{next(iter(settings))}",
    )
    assert words in diagnostic.message


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"dnsRefreshRate": "1ms"}, "dnsRefreshRate"),
        (
            {"outboundTrafficPolicy": {"tls": {"mode": "SIMPLE", "sni": "a\0b"}}},
            "outboundTrafficPolicy.tls.sni",
        ),
        (
            {"outboundTrafficPolicy": {"tls": {"mode": "SIMPLE", "sni": LONG}}},
            "outboundTrafficPolicy.tls.sni",
        ),
        (
            {"defaultConfig": {"proxyHeaders": {"server": {"value": "a\nb"}}}},
            "defaultConfig.proxyHeaders.server.value",
        ),
    ],
)
def test_settings_of_the_mesh_that_envoy_refuses(settings: dict[str, Any], path: str) -> None:
    found, (diagnostic,) = parse_mesh_config(json.dumps(settings), "mesh.yaml")
    assert found is None
    assert diagnostic.path == path


def test_connection_settings_at_their_bounds() -> None:
    settings = {
        "httpStreamIdleTimeout": "0s",
        "http2InitialStreamWindowSize": 65535,
        "httpMaxConcurrentStreams": 1,
        # Negative ones count as absent.
        "http2InitialConnectionWindowSize": -1,
    }
    assert (
        parse_mesh_config(json.dumps({"defaultConfig": {"connectionSettings": settings}}), "mesh.yaml")[1]
        == ()
    )


CLIENT = (
    "{host: a, trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: %s, privateKey: %s, "
    "caCertificates: %s}}}"
)
SERVER = "{servers: [{port: {number: 443, protocol: HTTPS, name: a}, hosts: [a.b], tls: {mode: MUTUAL, %s}}]}"
ONE = SERVER % "serverCertificate: %s, privateKey: %s, caCertificates: %s"
TWO = SERVER % (
    "caCertificates: /a, tlsCertificates: [{serverCertificate: %s, privateKey: %s, caCertificates: %s}]"
)


@pytest.mark.parametrize(("kind", "spec"), [("DestinationRule", CLIENT), ("Gateway", ONE), ("Gateway", TWO)])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_file_of_a_certificate_that_cannot_be_opened(
    validate: Validate, kind: str, spec: str, position: int
) -> None:
    for path, words in (
        (f'"/{LONG}"', "too long"),
        ('"/a\\0b"', "NUL"),
        ("/etc/", "is a folder"),
        (".", "is a folder"),
        ("/etc/..", "is a folder"),
    ):
        paths = ["/a", "/b", "/c"]
        paths[position] = path
        found = validate(kind, spec % tuple(paths))
        assert [words in each.message for each in found if each.severity == "error"] == [True]


@pytest.mark.parametrize(
    ("kind", "version", "content"),
    [
        ("Service", "v1", {"spec": {"clusterIP": "10.96.0.10/33", "ports": [{"port": 7000}]}}),
        ("Service", "v1", {"spec": {"clusterIPs": ["10.96.0.256"]}}),
        ("Service", "v1", {"spec": {}, "status": {"loadBalancer": {"ingress": [{"ip": "x"}]}}}),
        ("Endpoints", "v1", {"subsets": [{"addresses": [{"ip": "10.0.0"}]}]}),
        (
            "EndpointSlice",
            "discovery.k8s.io/v1",
            {"addressType": "IPv4", "endpoints": [{"addresses": ["x"]}]},
        ),
        ("Pod", "v1", {"status": {"podIP": "10.0.0.300"}}),
        ("Pod", "v1", {"status": {"podIPs": [{"ip": "10.0.0.300"}]}}),
    ],
)
def test_an_address_that_is_none(kind: str, version: str, content: dict[str, Any]) -> None:
    whole = {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, **content}

    config, found = to_config(
        Document(version, kind, "default", "a", whole, Origin("mesh.yaml", 1), NoLines())
    )

    assert config is None
    assert "is not an IP address" in found[0].message


def test_suites_and_curves_that_are_not_sent_are_named() -> None:
    tls = {"cipherSuites": ["FOO", "AES128-SHA", "AES128-SHA"], "ecdhCurves": ["P-224", "P-256", "P-256"]}

    found = check_mesh_config(MeshConfig.model_validate({"tlsDefaults": tls}), lambda _: 1, "mesh.yaml")

    assert [each.path for each in found] == [
        "tlsDefaults.cipherSuites[0]",
        "tlsDefaults.cipherSuites[2]",
        "tlsDefaults.ecdhCurves[0]",
        "tlsDefaults.ecdhCurves[2]",
    ]
