"""Rules hold for every item of a list, and at the very ends of what is possible."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic

Validate = Callable[..., list[Diagnostic]]

TO_A = "route: [{destination: {host: a.com}}]"
TO_MANY = "route: [{destination: {host: a.com}, weight: 0}, {destination: {host: b.com}, weight: 0}]"
HTTPS = "port: {number: 443, name: https, protocol: HTTPS}"


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        (
            "Gateway",
            "servers: [{hosts: [a.com, 'b_!'], port: {number: 80, name: http, protocol: HTTP}}]",
            "spec.servers[0].hosts[1]",
        ),
        (
            "Gateway",
            f"servers: [{{hosts: [a.com], {HTTPS}, tls: {{mode: SIMPLE, credentialName: c, "
            f"verifyCertificateHash: [{'a' * 64}, b]}}}}]",
            "spec.servers[0].tls.verifyCertificateHash[1]",
        ),
        (
            "VirtualService",
            f"hosts: [a.com], http: [{{{TO_A}}}, {{match: [{{}}, {{headers: {{'@request.auth.claims.x': "
            f"{{exact: y}}}}}}], {TO_A}}}]",
            "spec.http[1].match[1].headers[@request.auth.claims.x]",
        ),
        (
            "VirtualService",
            f"hosts: [a.com], tcp: [{{match: [{{destinationSubnets: [10.0.0.0/8, 10.0.0.0/99]}}], {TO_A}}}]",
            "spec.tcp[0].match[0].destinationSubnets[1]",
        ),
        ("VirtualService", f"hosts: [a.com], tcp: [{{{TO_MANY}}}]", "spec.tcp[0].route"),
        ("VirtualService", f"hosts: [a.com, b.com, a.com], http: [{{{TO_A}}}]", "spec.hosts[2]"),
        ("VirtualService", f"hosts: [x.a.com, b.com, '*.a.com'], http: [{{{TO_A}}}]", "spec.hosts[2]"),
        ("VirtualService", f"hosts: ['*.a.com', b.com, x.a.com], http: [{{{TO_A}}}]", "spec.hosts[2]"),
        (
            "VirtualService",
            f"hosts: [a.com], http: [{{{TO_A}, mirror: {{host: a.com}}, mirrorPercent: 101}}]",
            "spec.http[0].mirrorPercent",
        ),
        (
            "ServiceEntry",
            "hosts: [a.com, '*.b.com'], ports: [{number: 80, name: http, protocol: HTTP}], "
            "resolution: DNS, location: MESH_EXTERNAL",
            "spec.hosts[1]",
        ),
        (
            "DestinationRule",
            "host: a.com, trafficPolicy: {tunnel: {protocol: connect, targetHost: b.com, targetPort: 1}}",
            "spec.trafficPolicy.tunnel.protocol",
        ),
        (
            "DestinationRule",
            "host: a.com, trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST, warmupDurationSecs: -1s}}",
            "spec.trafficPolicy.loadBalancer.warmupDurationSecs",
        ),
    ],
)
def test_the_wrong_one_is_named(validate: Validate, kind: str, spec: str, path: str) -> None:
    errors = [
        diagnostic for diagnostic in validate(kind, f"{{{spec}}}") if diagnostic.severity.value == "error"
    ]
    assert [diagnostic.path for diagnostic in errors] == [path]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (
            "VirtualService",
            f"hosts: [a.com], http: [{{{TO_A}, mirror: {{host: a.com}}, mirrorPercent: 100}}]",
        ),
        (
            "VirtualService",
            f"hosts: [b.com, a.com], tls: [{{match: [{{sniHosts: [a.com, b.com]}}], {TO_A}}}]",
        ),
        ("VirtualService", f"hosts: ['*.a.com', a.com, b.com], http: [{{{TO_A}}}]"),
        (
            "DestinationRule",
            "host: a.com, trafficPolicy: {tunnel: {protocol: CONNECT, targetHost: b.com, targetPort: 1}}",
        ),
        (
            "Gateway",
            f"servers: [{{hosts: [a.com], {HTTPS}, tls: {{mode: SIMPLE, credentialName: c, "
            f"verifyCertificateHash: [{'a' * 64}, {'b' * 95}]}}}}]",
        ),
    ],
)
def test_what_is_at_the_end_of_the_possible_is_possible(validate: Validate, kind: str, spec: str) -> None:
    assert [str(each) for each in validate(kind, f"{{{spec}}}") if each.severity.value == "error"] == []
