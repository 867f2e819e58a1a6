"""The rules of ServiceEntry."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic

Validate = Callable[..., list[Diagnostic]]
Expect = Callable[..., None]

HTTP = "{number: 80, name: http, protocol: HTTP}"
TCP = "{number: 81, name: tcp, protocol: TCP}"
E = "spec.endpoints[0]"


def entry(fields: str, hosts: str = "[a.com]") -> str:
    return f"{{hosts: {hosts}, {fields}}}"


def port(fields: str) -> str:
    return entry(f"addresses: [10.0.0.1], ports: [{{{fields}}}]")


def static(endpoint: str, ports: str = HTTP) -> str:
    return entry(f"resolution: STATIC, ports: [{ports}], endpoints: [{{{endpoint}}}]")


def dns(endpoint: str) -> str:
    return entry(f"resolution: DNS, ports: [{HTTP}], endpoints: [{{{endpoint}}}]")


GOOD = entry(f"ports: [{HTTP}]")
DYNAMIC = f"resolution: DYNAMIC_DNS, ports: [{HTTP}]"

ERRORS = [
    ("{resolution: STATIC}", GOOD, "spec.hosts", "the ServiceEntry has no hosts"),
    (
        entry("ports: []", "['*']"),
        entry("ports: []", "['*.a']"),
        "spec.hosts[0]",
        '"*" is not a host of a service',
    ),
    (entry("ports: []", "[a_b]"), entry("ports: []", "[a-b]"), "spec.hosts[0]", "is invalid"),
    (
        entry("resolution: STATIC, workloadSelector: {labels: {a: b}}, endpoints: []"),
        entry("resolution: STATIC, workloadSelector: {labels: {a: b}}, endpoints: null"),
        "spec.endpoints",
        "endpoints and workloadSelector exclude",
    ),
    (
        entry("resolution: STATIC, workloadSelector: {labels: {a: 'b*'}}"),
        entry("resolution: STATIC, workloadSelector: {labels: {a: b}}"),
        "spec.workloadSelector.labels.a",
        'the selector has a wildcard in "a=b*"',
    ),
    (
        entry("resolution: STATIC, workloadSelector: {labels: {'': b}}"),
        entry("resolution: STATIC, workloadSelector: {labels: {a: b}}"),
        "spec.workloadSelector.labels[]",
        "the selector has an empty key",
    ),
    (entry("addresses: [a.com]"), entry("addresses: ['::1']"), "spec.addresses[0]", "is not an IP address"),
    (
        entry("addresses: [1.0.0.0/a]"),
        entry("addresses: [1.0.0.0/8]"),
        "spec.addresses[0]",
        "is not a CIDR block",
    ),
    (
        entry("resolution: DNS, addresses: [1.0.0.0/8]"),
        entry("resolution: STATIC, addresses: [1.0.0.0/8]"),
        "spec.addresses[0]",
        "a CIDR block is not possible with resolution DNS",
    ),
    # Ports
    (port("number: 80, name: ''"), port("number: 80, name: a"), "spec.ports[0].name", "the port has no name"),
    (
        port("number: 80, name: a_b"),
        port("number: 80, name: a-b"),
        "spec.ports[0].name",
        "not a valid port name",
    ),
    (
        port("number: 0, name: a"),
        port("number: 1, name: a"),
        "spec.ports[0].number",
        "0 is not a port number",
    ),
    (
        port("number: 80, name: a, protocol: X"),
        port("number: 80, name: a, protocol: grpc-web"),
        "spec.ports[0].protocol",
        '"X" is not a known protocol',
    ),
    (
        port("number: 80, name: a, targetPort: 65536"),
        port("number: 80, name: a, targetPort: 65535"),
        "spec.ports[0].targetPort",
        "65536 is not a port number",
    ),
    (
        entry(f"ports: [{HTTP}, {{number: 81, name: http, protocol: HTTP}}]"),
        GOOD,
        "spec.ports[1].name",
        '"http" names another port',
    ),
    (
        entry(f"ports: [{HTTP}, {{number: 80, name: udp, protocol: UDP}}]"),
        GOOD,
        "spec.ports[1].number",
        "port 80 is given twice",
    ),
    # Resolutions
    (
        entry("endpoints: [{address: 10.0.0.1}]"),
        static("address: 10.0.0.1"),
        "spec.endpoints",
        "not possible with resolution NONE",
    ),
    (static("address: b.com"), dns("address: b.com"), E + ".address", '"b.com" is not an IP address'),
    (static("ports: {http: 80}"), static("address: '::1'"), E + ".address", "the address is missing"),
    (static("address: unix://s"), static("address: unix:///s"), E + ".address", "names no socket"),
    (
        static("address: unix:///s, ports: {http: 80}"),
        static("address: unix:///s"),
        E + ".ports",
        "has no ports",
    ),
    (
        static("address: unix:///s", f"{HTTP}, {{number: 81, name: b, protocol: HTTP}}"),
        static("address: unix:///s"),
        E + ".address",
        "for a service with one port",
    ),
    (
        static("address: 10.0.0.1, ports: {web: 80}"),
        static("address: 10.0.0.1, ports: {http: 8080}"),
        E + ".ports.web",
        'the service has no port "web"; write one of its port names (http)',
    ),
    (
        static("address: 10.0.0.1, ports: {http: 0}"),
        static("address: 10.0.0.1, ports: {http: 1}"),
        E + ".ports.http",
        "0 is not a port number",
    ),
    (
        static("address: 10.0.0.1, labels: {-: b}"),
        static("address: 10.0.0.1, labels: {a: b}"),
        E + ".labels.-",
        "is not a label's key",
    ),
    (
        entry("resolution: DNS", "['*.a.com']"),
        entry("resolution: DNS, endpoints: [{address: b.com}]", "['*.a.com']"),
        "spec.hosts[0]",
        "cannot be looked up with resolution DNS",
    ),
    (
        entry("resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.b}, {address: c.d}]"),
        entry("resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.b}]"),
        "spec.endpoints",
        "takes one endpoint, not 2",
    ),
    (dns("address: '*.b'"), dns("address: 10.0.0.1"), E + ".address", "is not an address"),
    (dns("address: unix:///s"), dns("address: b.com"), E + ".address", "is not an address"),
    (
        dns("address: b.com, ports: {web: 80}"),
        dns("address: b.com, ports: {http: 1}"),
        E + ".ports.web",
        "no port",
    ),
    (dns("address: b.com, labels: {a: -}"), dns("address: b.com, labels: {a: b}"), E + ".labels.a", "value"),
    (entry(DYNAMIC), entry(DYNAMIC, "['*.a', '*b.a']"), "spec.hosts[0]", '"a.com" is not a wildcard'),
    (
        entry(DYNAMIC + ", addresses: [10.0.0.1]", "['*.a']"),
        entry(DYNAMIC, "['*.a']"),
        "spec.addresses",
        "addresses are not possible",
    ),
    (
        entry(DYNAMIC + ", endpoints: [{address: 10.0.0.1}]", "['*.a']"),
        entry(DYNAMIC, "['*.a']"),
        "spec.endpoints",
        "endpoints are not possible",
    ),
    (
        entry("resolution: DYNAMIC_DNS, ports: [{number: 443, name: s, protocol: HTTPS}]", "['*.a']"),
        entry("resolution: DYNAMIC_DNS, ports: [{number: 443, name: s, protocol: TLS}]", "['*.a']"),
        "spec.ports[0].protocol",
        '"HTTPS" is not possible with DYNAMIC_DNS',
    ),
    (
        entry(f"resolution: STATIC, addresses: [10.0.0.1], ports: [{TCP}]", "[a.com, b.com]"),
        entry(f"resolution: NONE, addresses: [10.0.0.1], ports: [{TCP}]", "[a.com, b.com]"),
        "spec.ports[0].protocol",
        "several hosts cannot be told apart on a port of TCP",
    ),
    (entry("exportTo: ['~', a]"), entry("exportTo: ['~']"), "spec.exportTo", '"~" exports to nobody'),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), ERRORS)
def test_errors(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("ServiceEntry", bad, good, path, words)


WARNINGS = [
    (
        entry("ports: []", "['*a.com']"),
        entry("ports: []", "['*.a.com']"),
        "spec.hosts[0]",
        "a part of a label",
    ),
    (
        entry("resolution: STATIC, workloadSelector: {}"),
        entry("resolution: STATIC, workloadSelector: {labels: {a: b}}"),
        "spec.workloadSelector",
        "the selector has no labels",
    ),
    (
        entry("workloadSelector: {labels: {a: b}}"),
        entry("resolution: DNS, workloadSelector: {labels: {a: b}}"),
        "spec.workloadSelector",
        "workloadSelector has no effect with resolution NONE",
    ),
    (
        static("network: n"),
        static("address: 10.0.0.1, network: n"),
        E + ".address",
        'the gateway of network "n" is called',
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), WARNINGS)
def test_warnings(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("ServiceEntry", bad, good, path, words, "warning", "IST0133")


@pytest.mark.parametrize(
    ("spec", "labels", "warned"),
    [
        (f"ports: [{TCP}]", {}, True),
        ("ports: [{number: 80, name: a}]", {}, True),
        ("ports: [{number: 80, name: a, protocol: tcp}]", {}, True),
        ("ports: [{number: 80, name: a, protocol: Tcp}]", {}, True),
        (f"ports: [{HTTP}]", {}, False),
        (f"addresses: [10.0.0.1], ports: [{TCP}]", {}, False),
        (f"resolution: STATIC, ports: [{TCP}]", {}, True),
        (f"resolution: DNS, ports: [{TCP}]", {}, True),
        ("resolution: DNS, ports: [{number: 80, name: a}]", {}, True),
        (f"resolution: DNS, ports: [{HTTP}]", {}, False),
        (
            f"resolution: STATIC, ports: [{TCP}]",
            {"networking.istio.io/enable-autoallocate-ip": "False"},
            True,
        ),
    ],
)
def test_tcp_without_addresses(validate: Validate, spec: str, labels: dict[str, str], warned: bool) -> None:
    found = validate("ServiceEntry", entry(spec), labels=labels)

    assert [(it.severity.value, it.code, it.path) for it in found] == (
        [("warning", "IST0134", "spec.ports[0]")] if warned else []
    )


def test_several_hosts_that_share_addresses(validate: Validate) -> None:
    port = "{number: 443, name: tls, protocol: TLS}"
    found = validate(
        "ServiceEntry",
        entry(f"resolution: DNS, addresses: [10.0.0.1], ports: [{HTTP}, {port}]", "[a.com, b.com]"),
    )

    assert [(it.severity.value, it.path) for it in found] == [("warning", "spec.ports[1]")]


def test_dynamic_dns_in_the_mesh_behind_a_waypoint(validate: Validate) -> None:
    spec = entry(DYNAMIC + ", location: MESH_INTERNAL", "['*.a']")

    (found,) = validate("ServiceEntry", spec, labels={"istio.io/use-waypoint": "w"})
    assert found.path == "spec.location"
    assert validate("ServiceEntry", spec, labels={"istio.io/use-waypoint": "none"}) == []
    assert validate("ServiceEntry", spec) == []
