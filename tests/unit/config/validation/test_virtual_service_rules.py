"""The rules of VirtualService as a whole, of TLS and TCP: a row for each, with what breaks it and a twin that
does not; and what it is warned of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic
from tests.unit.config.validation.virtual_service_yaml import BIG, HTTP, TCP, TLS, TO_A, H, only, route, whole

Validate = Callable[..., list[Diagnostic]]
Expect = Callable[..., None]

WHOLE = [
    # Delegates, hosts, gateways
    (f"gateways: [g], {HTTP}", HTTP, "spec.gateways", "a VirtualService without hosts is a delegate"),
    (f"{HTTP}, {TCP}", HTTP, "spec.tcp", "which has no tcp"),
    (f"hosts: ['*'], {HTTP}", f"hosts: ['*'], gateways: [g], {HTTP}", "spec.hosts[0]", "on gateways only"),
    (
        f"hosts: ['*'], gateways: [g, mesh], {HTTP}",
        f"hosts: ['*.com'], gateways: [g, mesh], {HTTP}",
        "spec.hosts[0]",
        "on gateways only",
    ),
    (f"hosts: [a_b.com], {HTTP}", f"hosts: [a-b.com], {HTTP}", "spec.hosts[0]", 'its label "a_b" is invalid'),
    (f"hosts: [''], {HTTP}", f"hosts: [10.0.0.1], {HTTP}", "spec.hosts[0]", "the host is empty"),
    (f"hosts: [a.1], {HTTP}", f"hosts: [a.1.], {HTTP}", "spec.hosts[0]", "its last label is a number"),
    (f"hosts: [b.*.a], {HTTP}", f"hosts: ['*b.a'], {HTTP}", "spec.hosts[0]", 'its label "*" is invalid'),
    (f"hosts: [a.com, a.com], {HTTP}", f"hosts: [a.com, b.com], {HTTP}", "spec.hosts[1]", "is given twice"),
    (
        f"hosts: ['*.com', a.com], {HTTP}",
        f"hosts: ['*.org', a.com], {HTTP}",
        "spec.hosts[1]",
        '"a.com" and "*.com" cover the same hosts',
    ),
    ("hosts: [a.com]", f"hosts: [a.com], {HTTP}", "spec", "no routes"),
    (
        f"hosts: [a.com], gateways: [x/y/z], {HTTP}",
        f"hosts: [a.com], gateways: [x/y], {HTTP}",
        "spec.gateways[0]",
        "is not a valid name of a Gateway",
    ),
    (
        f"hosts: [a.com], gateways: [a.b/y], {HTTP}",
        f"hosts: [a.com], gateways: [y, ./y], {HTTP}",
        "spec.gateways[0]",
        "is not a valid namespace",
    ),
    (
        f"hosts: [a.com], exportTo: [a_b], {HTTP}",
        f"hosts: [a.com], exportTo: [a-b], {HTTP}",
        "spec.exportTo[0]",
        "is not a namespace",
    ),
    (
        f"hosts: [a.com], exportTo: ['~'], {HTTP}",
        f"hosts: [a.com], exportTo: [.], {HTTP}",
        "spec.exportTo[0]",
        '"~" is for services only',
    ),
    (
        f"hosts: [a.com], exportTo: [., shop], {HTTP}",
        f"hosts: [a.com], exportTo: [., b], {HTTP}",
        "spec.exportTo[1]",
        '"shop" is given twice (as ".")',
    ),
    (
        f"hosts: [a.com], exportTo: [a, '*'], {HTTP}",
        f"hosts: [a.com], exportTo: ['*'], {HTTP}",
        "spec.exportTo",
        '"*" exports to everybody',
    ),
    # Delegation
    (
        "http: [{delegate: {name: b}, " + TO_A + "}]",
        HTTP,
        H + ".delegate",
        "a delegate cannot delegate in its turn",
    ),
    # TLS and TCP
    (f"hosts: [a.com], tls: [{{{TO_A}}}]", f"hosts: [a.com], {TLS}", "spec.tls[0].match", "has no match"),
    (
        f"hosts: [a.com], tls: [{{match: [{{}}], {TO_A}}}]",
        f"hosts: [a.com], {TLS}",
        "spec.tls[0].match[0].sniHosts",
        "has no sniHosts",
    ),
    (
        f"hosts: [b.com], {TLS}",
        f"hosts: ['*.com'], {TLS}",
        "spec.tls[0].match[0].sniHosts[0]",
        "is not among the hosts",
    ),
    (
        "hosts: [a.com], tls: [{match: [{sniHosts: [a.com]}]}]",
        f"hosts: [a.com], {TLS}",
        "spec.tls[0].route",
        "goes nowhere",
    ),
    (
        "hosts: [a.com], tls: "
        f"[{{match: [{{sniHosts: [a.com], destinationSubnets: [1.0.0.0/33]}}], {TO_A}}}]",
        f"hosts: [a.com], tls: [{{match: [{{sniHosts: [a.com], destinationSubnets: [1.0.0.1/8]}}], {TO_A}}}]",
        "spec.tls[0].match[0].destinationSubnets[0]",
        "is not a CIDR block",
    ),
    ("hosts: [a.com], tcp: [{}]", f"hosts: [a.com], {TCP}", "spec.tcp[0].route", "goes nowhere"),
    (
        f"hosts: [a.com], tcp: [{{match: [{{destinationSubnets: [a]}}], {TO_A}}}]",
        f"hosts: [a.com], tcp: [{{match: [{{destinationSubnets: ['2001:db8::/32', 10.0.0.1]}}], {TO_A}}}]",
        "spec.tcp[0].match[0].destinationSubnets[0]",
        "is not an IP address",
    ),
    (
        f"hosts: [a.com], tcp: [{{match: [{{port: 70000}}], {TO_A}}}]",
        f"hosts: [a.com], tcp: [{{match: [{{port: 65535}}], {TO_A}}}]",
        "spec.tcp[0].match[0].port",
        "70000 is not a port number",
    ),
    (
        f"hosts: [a.com], tcp: [{{match: [{{sourceLabels: {{app: -}}}}], {TO_A}}}]",
        f"hosts: [a.com], tcp: [{{match: [{{sourceLabels: {{app: ''}}}}], {TO_A}}}]",
        "spec.tcp[0].match[0].sourceLabels.app",
        "is not a label's value",
    ),
    (
        f"hosts: [a.com], gateways: [g], tls: [{{match: [{{sniHosts: [outbound_.80]}}], {TO_A}}}]",
        "hosts: [outbound_.80_._.a.com], gateways: [g], "
        f"tls: [{{match: [{{sniHosts: [outbound_.80_._.a.com]}}], {TO_A}}}]",
        "spec.tls[0].match[0].sniHosts[0]",
        "is not a generated SNI name",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), WHOLE)
def test_services(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("VirtualService", whole(bad), whole(good), path, words)


WARNINGS = [
    (
        only("redirect: {uri: /b, redirectCode: 304}"),
        only("redirect: {uri: /b, redirectCode: 303}"),
        H + ".redirect.redirectCode",
        "Envoy cannot redirect by 304",
        "IST0133",
    ),
    (
        f"{{hosts: [a.com], gateways: [g.ns.svc], {HTTP}}}",
        f"{{hosts: [a.com], gateways: [ns/g], {HTTP}}}",
        "spec.gateways[0]",
        'write "ns/g"',
        "IST0133",
    ),
    (
        f"{{hosts: [10.0.0.1], tls: [{{match: [{{sniHosts: [10.0.0.1]}}], {TO_A}}}]}}",
        f"{{hosts: [a.com], {TLS}}}",
        "spec.tls[0].match[0].sniHosts[0]",
        "which clients do not send as SNI",
        "IST0133",
    ),
    (
        only(f"directResponse: {{status: 200, body: {{string: {BIG}}}}}"),
        only("directResponse: {status: 200, body: {string: x}}"),
        H + ".directResponse.body",
        "the body has 102401 bytes",
        "IST0133",
    ),
    (
        route("fault: {abort: {percentage: {value: 1}}}"),
        route("fault: {abort: {httpStatus: 500}}"),
        H + ".fault.abort",
        "the abort has no status",
        "IST0133",
    ),
    (
        route("mirror: {host: b}, mirrorPercent: 50"),
        route("mirror: {host: b}, mirrorPercentage: {value: 50}"),
        H + ".mirrorPercent",
        "mirrorPercent is deprecated; write mirrorPercentage",
        "IST0002",
    ),
    (
        route("fault: {delay: {fixedDelay: 1s, percent: 5}}"),
        route("fault: {delay: {fixedDelay: 1s, percentage: {value: 5}}}"),
        H + ".fault.delay.percent",
        "percent is deprecated; write percentage",
        "IST0002",
    ),
    (
        route("corsPolicy: {allowOrigin: [a]}"),
        route("corsPolicy: {allowOrigins: [{exact: a}]}"),
        H + ".corsPolicy.allowOrigin",
        "allowOrigin is deprecated; write allowOrigins",
        "IST0002",
    ),
    (
        f"{{hosts: [a.com], tcp: [{{match: [{{sourceSubnet: 10.0.0.0/8}}], {TO_A}}}]}}",
        f"{{hosts: [a.com], tcp: [{{match: [{{port: 80}}], {TO_A}}}]}}",
        "spec.tcp[0].match[0].sourceSubnet",
        "sourceSubnet takes no effect: Istio ignores it too",
        "MZ0001",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words", "code"), WARNINGS)
def test_warnings(expect: Expect, bad: str, good: str, path: str, words: str, code: str) -> None:
    expect("VirtualService", bad, good, path, words, "warning", code)


def test_a_percentage_above_100_is_wrong_and_deprecated(validate: Validate) -> None:
    found = validate("VirtualService", route("mirror: {host: b}, mirrorPercent: 101"))

    assert [(it.severity.value, it.path) for it in found] == [
        ("error", H + ".mirrorPercent"),
        ("warning", H + ".mirrorPercent"),
    ]


def test_a_negative_percentage_is_wrong_and_deprecated(validate: Validate) -> None:
    found = validate("VirtualService", route("fault: {delay: {fixedDelay: 1s, percent: -1}}"))

    assert [(it.severity.value, it.path) for it in found] == [
        ("error", H + ".fault.delay.percent"),
        ("warning", H + ".fault.delay.percent"),
    ]


def test_all_diagnostics_at_once_with_their_lines(validate: Validate) -> None:
    found = validate(
        "VirtualService",
        "{hosts: ['a b', '-'], http: [{timeout: 0s, retries: {attempts: -1}}, {redirect: {}}], "
        "exportTo: ['~']}",
    )

    assert [(it.path, it.origin.line) for it in found] == [
        ("spec.hosts[0]", 3),
        ("spec.hosts[1]", 3),
        ("spec.http[0]", 3),
        ("spec.http[0].retries.attempts", 5),
        ("spec.http[0].timeout", 4),
        ("spec.http[1].redirect", 4),
        ("spec.exportTo[0]", 3),
        ("spec.http[1]", 3),
    ]
    assert all(it.origin.file == "mesh.yaml" for it in found)


def test_a_weight_beside_none_is_probably_forgotten(expect: Expect) -> None:
    expect(
        "VirtualService",
        "{hosts: [a.com], http: [{route: [{destination: {host: a}, weight: 9}, {destination: {host: b}}]}]}",
        "{hosts: [a.com], http: [{route: [{destination: {host: a}, weight: 9}, "
        "{destination: {host: b}, weight: 0}]}]}",
        "spec.http[0].route[1]",
        "has no weight",
        "warning",
        "IST0133",
    )


def test_a_prefix_knows_no_wildcard(expect: Expect) -> None:
    route = (
        "{{hosts: [a.com], http: [{{match: [{{uri: {{prefix: {}}}}}], "
        "route: [{{destination: {{host: a}}}}]}}]}}"
    )
    expect(
        "VirtualService",
        route.format('"/api/*"'),
        route.format("/api/"),
        "spec.http[0].match[0].uri.prefix",
        'write "/api/"',
        "warning",
        "IST0133",
    )
