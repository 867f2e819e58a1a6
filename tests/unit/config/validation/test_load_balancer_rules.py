"""The rules of load balancing in a DestinationRule: by hashes, localities and zones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic
from tests.unit.config.validation.destination_rule_yaml import OUTLIER, T, policy

Validate = Callable[..., list[Diagnostic]]
Expect = Callable[..., None]

LB = T + ".loadBalancer"


def balancer(fields: str) -> str:
    return policy(f"{OUTLIER}, loadBalancer: {{{fields}}}")


def hashed(fields: str) -> str:
    return balancer(f"consistentHash: {{{fields}}}")


def locality(fields: str) -> str:
    return balancer(f"localityLbSetting: {{{fields}}}")


def zones(fields: str) -> str:
    return balancer(f"zoneAwareLbSetting: {{{fields}}}")


def shares(*froms: str) -> str:
    return locality("distribute: [" + ", ".join(f"{{from: '{it}', to: {{b: 100}}}}" for it in froms) + "]")


def to(*localities: str) -> str:
    weights = ", ".join(f"'{it}': {100 // len(localities)}" for it in localities)
    return locality(f"distribute: [{{from: a, to: {{{weights}}}}}]")


ERRORS = [
    # Load balancing
    (
        hashed("httpCookie: {ttl: 0s}"),
        hashed("httpCookie: {name: c, ttl: 0s}"),
        LB + ".consistentHash.httpCookie.name",
        "the cookie has no name",
    ),
    (
        hashed("httpCookie: {name: c, attributes: [{value: v}]}"),
        hashed("httpCookie: {name: c, attributes: [{name: Secure}]}"),
        LB + ".consistentHash.httpCookie.attributes[0].name",
        "the attribute has no name",
    ),
    (
        hashed("httpCookie: {name: c, attributes: [{name: a}, {name: a}]}"),
        hashed("httpCookie: {name: c, attributes: [{name: a}, {name: b}]}"),
        LB + ".consistentHash.httpCookie.attributes[1].name",
        '"a" is given twice',
    ),
    (
        hashed("maglev: {}"),
        hashed("maglev: {tableSize: 2}"),
        LB + ".consistentHash.maglev.tableSize",
        "is missing",
    ),
    (
        hashed("maglev: {tableSize: 65536}"),
        hashed("maglev: {tableSize: 65537}"),
        LB + ".consistentHash.maglev.tableSize",
        "65536 is not prime",
    ),
    (
        hashed("maglev: {tableSize: 5000011}"),
        hashed("maglev: {tableSize: 4999999}"),
        LB + ".consistentHash.maglev.tableSize",
        "5000011 is too large",
    ),
    (
        balancer("localityLbSetting: {}, zoneAwareLbSetting: {}"),
        balancer("zoneAwareLbSetting: {minClusterSize: 3}"),
        LB + ".zoneAwareLbSetting",
        "exclude each other",
    ),
    (balancer("warmup: {}"), balancer("warmup: {duration: 1s}"), LB + ".warmup.duration", "is missing"),
    (
        balancer("warmup: {duration: 0s}"),
        balancer("warmup: {duration: 1s}"),
        LB + ".warmup.duration",
        "too short",
    ),
    (
        balancer("warmup: {duration: 1s, minimumPercent: 101}"),
        balancer("warmup: {duration: 1s, minimumPercent: 100}"),
        LB + ".warmup.minimumPercent",
        "101 is not a percentage",
    ),
    (
        balancer("warmup: {duration: 1s, aggression: 0}"),
        balancer("warmup: {duration: 1s, aggression: 0.5}"),
        LB + ".warmup.aggression",
        "0 is not possible",
    ),
    (
        balancer("warmup: {duration: 1s, minimumPercent: -1}"),
        balancer("warmup: {duration: 1s, minimumPercent: 0}"),
        LB + ".warmup.minimumPercent",
        "-1 is not a percentage",
    ),
    (
        hashed("ringHash: {minimumRingSize: 8388609}"),
        hashed("ringHash: {minimumRingSize: 8388608}"),
        LB + ".consistentHash.ringHash.minimumRingSize",
        "8388609 is too large a ring",
    ),
    (
        hashed("httpHeaderName: ''"),
        hashed("httpHeaderName: x"),
        LB + ".consistentHash.httpHeaderName",
        "is empty",
    ),
    (
        hashed("httpQueryParameterName: ''"),
        hashed("httpQueryParameterName: x"),
        LB + ".consistentHash.httpQueryParameterName",
        "is empty",
    ),
    (
        hashed("httpCookie: {name: c, ttl: -1s}"),
        hashed("httpCookie: {name: c, ttl: 0s}"),
        LB + ".consistentHash.httpCookie.ttl",
        "-1s is negative",
    ),
    (
        balancer("warmupDurationSecs: -1s"),
        balancer("warmupDurationSecs: 1s"),
        LB + ".warmupDurationSecs",
        "-1s is negative",
    ),
    # Localities
    (
        locality("distribute: [{from: a, to: {b: 100}}], failover: [{from: a, to: b}]"),
        locality("failover: [{from: a, to: b}]"),
        LB + ".localityLbSetting.failover",
        "failover and distribute exclude",
    ),
    (
        locality("failover: [{from: a, to: b}], failoverPriority: [topology.kubernetes.io/region]"),
        locality("failover: [{from: a, to: b}], failoverPriority: [topology.istio.io/network]"),
        LB + ".localityLbSetting.failoverPriority[0]",
        "and failover exclude",
    ),
    (
        locality("distribute: [{from: a, to: {b: 0, c: 100}}]"),
        locality("distribute: [{from: a, to: {b: 1, c: 99}}]"),
        LB + ".localityLbSetting.distribute[0].to.b",
        "0 is not a share",
    ),
    (
        locality("distribute: [{from: a, to: {b: 50}}]"),
        locality("distribute: [{from: a, to: {b: 50, c: 50}}]"),
        LB + ".localityLbSetting.distribute[0].to",
        "the shares sum to 50",
    ),
    (shares("a//c"), shares("a/b/c"), LB + ".localityLbSetting.distribute[0].from", "has an empty part"),
    (shares(""), shares("*"), LB + ".localityLbSetting.distribute[0].from", "has an empty part"),
    (
        shares("a/*/c"),
        shares("a/b/*"),
        LB + ".localityLbSetting.distribute[0].from",
        "a wildcard before its end",
    ),
    (shares("a", "a/b"), shares("a/c", "a/b"), LB + ".localityLbSetting.distribute[1].from", "overlaps"),
    (
        shares("a/b/c", "a/b/*"),
        shares("a/b/c", "a/b/d"),
        LB + ".localityLbSetting.distribute[1].from",
        "overlaps",
    ),
    (shares("a", "*"), shares("a", "b"), LB + ".localityLbSetting.distribute[1].from", "overlaps"),
    (to("b", "b/*"), to("b", "c/*"), LB + ".localityLbSetting.distribute[0].to[b/*]", "overlaps"),
    (
        locality("failover: [{from: a, to: a}]"),
        locality("failover: [{from: a, to: b}]"),
        LB + ".localityLbSetting.failover[0]",
        "cannot take over for itself",
    ),
    (
        locality("failover: [{from: a/b, to: c}]"),
        locality("failover: [{from: a, to: c}]"),
        LB + ".localityLbSetting.failover[0].from",
        '"a/b" is not a region',
    ),
    (
        zones("failover: [{from: a, to: '*'}]"),
        zones("failover: [{from: a, to: b}]"),
        LB + ".zoneAwareLbSetting.failover[0].to",
        '"*" is not a region',
    ),
    (
        zones("failoverPriority: [topology.istio.io/subzone]"),
        zones("failoverPriority: [topology.istio.io/network]"),
        LB + ".zoneAwareLbSetting.failoverPriority[0]",
        "regions and zones are ranked already",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), ERRORS)
def test_errors(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("DestinationRule", bad, good, path, words)


WARNINGS = [
    (
        hashed("useSourceIp: true, minimumRingSize: 5"),
        hashed("useSourceIp: true, ringHash: {minimumRingSize: 5}"),
        LB + ".consistentHash.minimumRingSize",
        "minimumRingSize is deprecated; write ringHash.minimumRingSize",
        "IST0002",
    ),
    (
        policy("loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}"),
        locality("failover: [{from: a, to: b}]"),
        LB + ".localityLbSetting.failover",
        "failover has no effect without outlierDetection",
        "IST0133",
    ),
    (
        policy("loadBalancer: {zoneAwareLbSetting: {failoverPriority: [a]}}"),
        zones("failoverPriority: [a]"),
        LB + ".zoneAwareLbSetting.failoverPriority",
        "failover has no effect without outlierDetection",
        "IST0133",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words", "code"), WARNINGS)
def test_warnings(expect: Expect, bad: str, good: str, path: str, words: str, code: str) -> None:
    expect("DestinationRule", bad, good, path, words, "warning", code)


def test_a_ring_size_in_two_places(validate: Validate) -> None:
    found = validate("DestinationRule", hashed("useSourceIp: true, minimumRingSize: 5, ringHash: {}"))

    assert [(it.severity.value, it.path) for it in found] == [
        ("error", LB + ".consistentHash.minimumRingSize"),
        ("warning", LB + ".consistentHash.minimumRingSize"),
    ]
