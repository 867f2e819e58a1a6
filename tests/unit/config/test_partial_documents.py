"""A field of the wrong form hides nothing that is wrong in other fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from mizzen.config import parse_documents, to_config
from mizzen.config.kinds import KINDS_BY_NAME

HEAD = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n"


def found(spec: str) -> list[str]:
    [document] = parse_documents((HEAD + spec).encode(), "a.yaml").documents
    config, diagnostics = to_config(document)
    assert config is None
    return [f"{each.origin}: {each.path}" for each in diagnostics]


def test_rules_look_at_the_rest() -> None:
    spec = """
  hosts: [a.example.com]
  http:
  - timeout: often
    match: [{uri: {regex: "(("}}]
    route:
    - destination: {host: a}
  - retries: {attempts: -1}
    route:
    - destination: {host: a}
"""
    assert found(spec) == [
        "a.yaml:8: spec.http[0].timeout",
        "a.yaml:9: spec.http[0].match[0].uri.regex",
        "a.yaml:12: spec.http[1].retries.attempts",
    ]


def test_nothing_is_said_about_what_lacks_a_field_that_was_taken_out() -> None:
    spec = """
  hosts: [a.example.com]
  http:
  - route:
    - destination: {host: a}
      weight: some
    - destination: {host: b}
      weight: 80
  - route: {destination: {host: c}}
"""
    assert found(spec) == ["a.yaml:10: spec.http[0].route[0].weight", "a.yaml:13: spec.http[1].route"]


def test_a_required_field_that_is_missing_hides_nothing_elsewhere() -> None:
    spec = """
  hosts: [a.example.com]
  http:
  - mirrors: [{percentage: {value: 300}}]
    route:
    - {}
  - match: [{uri: {regex: "(("}}]
    route:
    - destination: {host: a}
"""
    assert "a.yaml:11: spec.http[1].match[0].uri.regex" in found(spec)


def test_a_label_that_is_no_text_hides_nothing_of_the_spec() -> None:
    text = HEAD.replace("{name: a}", "{name: a, labels: {version: 1}}")
    [document] = parse_documents((text + "  hosts: []\n").encode(), "a.yaml").documents
    assert [each.path for each in to_config(document)[1]] == ["metadata.labels.version", "spec"]


def test_a_document_of_nothing_but_nonsense_says_so_once() -> None:
    assert found("  - what\n") == ["a.yaml:4: spec"]


TLS = "port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example.com]"
ROUTE = "route: [{destination: {host: a.example.com}}]"
STATIC = "resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {http: 1}}]"
INGRESS = "port: {number: 443, protocol: HTTPS}, defaultEndpoint: 127.0.0.1:1"

# the kind, a valid spec, the path of a field without which other fields would be wrong
NEEDED: tuple[tuple[str, str, tuple[str | int, ...]], ...] = (
    (
        "VirtualService",
        f"{{hosts: [a.example.com], gateways: [edge], http: [{{{ROUTE}}}], tcp: [{{{ROUTE}}}]}}",
        ("hosts",),
    ),
    (
        "VirtualService",
        f"{{hosts: [a.example.com], tls: [{{match: [{{sniHosts: [a.example.com]}}], {ROUTE}}}]}}",
        ("hosts",),
    ),
    (
        "VirtualService",
        "{hosts: ['*'], gateways: [edge], "
        f"http: [{{match: [{{headers: {{'@request.auth.claims.a': {{exact: b}}}}}}], {ROUTE}}}]}}",
        ("gateways",),
    ),
    (
        "VirtualService",
        f"{{hosts: [a.example.com], http: [{{match: [{{port: 1}}], {ROUTE}}}, {{{ROUTE}}}]}}",
        ("http", 0, "match"),
    ),
    (
        "VirtualService",
        "{hosts: [a.example.com], http: [{match: [{uri: {prefix: /a}, port: 1}], "
        f"{ROUTE}}}, {{match: [{{uri: {{prefix: /ab}}, port: 2}}], {ROUTE}}}]}}",
        ("http", 0, "match", 0, "port"),
    ),
    (
        "VirtualService",
        "{hosts: [a.example.com], http: [{match: [{uri: {prefix: /a}}], redirect: {prefixRewrite: /b}}]}",
        ("http", 0, "match", 0, "uri", "prefix"),
    ),
    (
        "VirtualService",
        f"{{hosts: [a.example.com], http: [{{retries: {{attempts: 1, retryOn: 5xx}}, {ROUTE}}}]}}",
        ("http", 0, "retries", "attempts"),
    ),
    (
        "DestinationRule",
        "{host: a, trafficPolicy: {loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}, "
        "outlierDetection: {interval: 1s}}}",
        ("trafficPolicy", "outlierDetection"),
    ),
    (
        "DestinationRule",
        "{host: a, trafficPolicy: {outlierDetection: {consecutiveLocalOriginFailures: 1, "
        "splitExternalLocalOriginErrors: true}}}",
        ("trafficPolicy", "outlierDetection", "splitExternalLocalOriginErrors"),
    ),
    (
        "DestinationRule",
        "{host: a, workloadSelector: {matchLabels: {a: b}}, "
        "trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}}",
        ("workloadSelector",),
    ),
    (
        "DestinationRule",
        "{host: a, workloadSelector: {matchLabels: {a: b}}, "
        "trafficPolicy: {tls: {mode: MUTUAL, credentialName: c}}}",
        ("trafficPolicy", "tls", "credentialName"),
    ),
    (
        "Gateway",
        f"{{servers: [{{tls: {{mode: MUTUAL, credentialName: c}}, {TLS}}}]}}",
        ("servers", 0, "tls", "credentialName"),
    ),
    (
        "Gateway",
        "{servers: [{tls: {mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_0, "
        f"cipherSuites: [ECDHE-RSA-AES128-SHA]}}, {TLS}}}]}}",
        ("servers", 0, "tls", "cipherSuites"),
    ),
    (
        "Gateway",
        "{servers: [{bind: unix:///a, port: {number: 0, name: http, protocol: HTTP}, hosts: [a.com]}]}",
        ("servers", 0, "bind"),
    ),
    ("ServiceEntry", f"{{hosts: [a.com], ports: [{{number: 80, name: http}}], {STATIC}}}", ("resolution",)),
    (
        "ServiceEntry",
        f"{{hosts: [a.com], ports: [{{number: 80, name: http, protocol: HTTP}}], {STATIC}}}",
        ("ports", 0, "name"),
    ),
    (
        "ServiceEntry",
        "{hosts: [a.com], addresses: [10.1.0.1], ports: [{number: 80, name: tcp, protocol: TCP}]}",
        ("addresses",),
    ),
    (
        "ServiceEntry",
        "{hosts: ['*.a.com'], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS, "
        "endpoints: [{address: b.com}]}",
        ("endpoints",),
    ),
    ("WorkloadEntry", "{network: far, labels: {a: b}}", ("network",)),
    ("Sidecar", f"{{ingress: [{{tls: {{mode: SIMPLE}}, {INGRESS}}}]}}", ("ingress", 0, "port", "protocol")),
    (
        "Sidecar",
        "{egress: [{port: {number: 0, protocol: HTTP}, bind: unix:///a, hosts: ['*/*']}]}",
        ("egress", 0, "bind"),
    ),
    (
        "Sidecar",
        "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: a.com, port: {number: 1}}}}",
        ("outboundTrafficPolicy", "mode"),
    ),
    ("AuthorizationPolicy", "{action: CUSTOM, provider: {name: a}, rules: [{}]}", ("action",)),
    (
        "PeerAuthentication",
        "{selector: {matchLabels: {a: b}}, portLevelMtls: {80: {mode: STRICT}}}",
        ("selector", "matchLabels", "a"),
    ),
)


@pytest.mark.parametrize(("kind", "spec", "needed"), NEEDED)
def test_what_a_malformed_field_would_make_right_is_not_called_wrong(
    kind: str, spec: str, needed: tuple[str | int, ...]
) -> None:
    """Only the malformed field itself is reported, and what was reported before."""
    content = yaml.safe_load(spec)
    before = diagnosed(kind, content)
    holder = content
    for step in needed[:-1]:
        holder = holder[step]
    written, holder[needed[-1]] = holder[needed[-1]], None
    assert diagnosed(kind, content) - before, "the field matters"
    holder[needed[-1]] = "wrong" if isinstance(written, (list, dict)) else ["wrong"]
    assert len(diagnosed(kind, content) - before) == 1


def diagnosed(kind: str, spec: Any) -> set[tuple[str, str]]:
    [of] = KINDS_BY_NAME[kind]
    document = {"apiVersion": of.api_versions[0], "kind": kind, "metadata": {"name": "a"}, "spec": spec}
    [read] = parse_documents(json.dumps(document).encode(), "a.yaml").documents
    return {(each.path, each.message) for each in to_config(read)[1]}
