"""Listeners of proxies with IPv4, with IPv6, and with both."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

import mizzen
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from tests.unit.translator.listeners.listener_scenes import Sent, document, mesh_of, proxy, sent, service

ON = {"defaultConfig": {"proxyMetadata": {"ISTIO_DUAL_STACK": "true"}}}
OWN = {"proxyMetadata": {"ISTIO_DUAL_STACK": "true"}}
BOTH = "10.0.0.7,2001:db8::7"
WEB = service("web.internal", 80, "HTTP")
DATABASE = service("db.internal", 5432, "TCP", resolution="DNS", endpoints=["db.example.com"])
IPV6_WORKLOAD = service("own.internal", 8080, "HTTP", endpoints=["2001:db8::7"])


def places(found: Sent) -> dict[str, list[str]]:
    """The addresses of each listener, the one that gives it its name first."""
    return {
        name: [
            socket["address"]
            for socket in (
                listener["address"]["socket_address"],
                *(more["address"]["socket_address"] for more in listener.get("additional_addresses", ())),
            )
        ]
        for name, listener in found.listeners.items()
    }


def ports(listener: dict[str, Any]) -> set[int]:
    return {
        listener["address"]["socket_address"]["port_value"],
        *(more["address"]["socket_address"]["port_value"] for more in listener["additional_addresses"]),
    }


@pytest.mark.parametrize(
    ("addresses", "mesh", "own", "expected"),
    [
        ("10.0.0.7", ON, {}, ["0.0.0.0"]),
        ("2001:db8::7", ON, {}, ["::"]),
        (BOTH, {}, {}, ["0.0.0.0"]),
        (BOTH, ON, {}, ["0.0.0.0", "::"]),
        (BOTH, {}, OWN, ["0.0.0.0", "::"]),
        ("2001:db8::7,10.0.0.7", ON, {}, ["0.0.0.0", "::"]),
        # What a proxy brings takes the place of what holds for the mesh.
        (BOTH, ON, {"proxyMetadata": {}}, ["0.0.0.0"]),
    ],
)
def test_captured_connections(
    addresses: str, mesh: dict[str, Any], own: dict[str, Any], expected: list[str]
) -> None:
    found = sent(WEB, mesh=mesh, INSTANCE_IPS=addresses, **({"PROXY_CONFIG": own} if own else {}))
    assert places(found) == {
        f"{expected[0]}_80": expected,
        "virtualOutbound": expected,
        "virtualInbound": expected,
    }
    if len(expected) > 1:
        listening = {name: ports(listener) for name, listener in found.listeners.items()}
        assert listening == {"0.0.0.0_80": {80}, "virtualOutbound": {15001}, "virtualInbound": {15006}}


def test_ports_that_are_bound() -> None:
    found = sent(WEB, mesh={**ON, "proxyHttpPort": 15080}, INSTANCE_IPS=BOTH, INTERCEPTION_MODE="NONE")
    both = ["127.0.0.1", "::1"]
    assert places(found) == {"127.0.0.1_80": both, "127.0.0.1_15080": both}
    alone = sent(WEB, mesh=ON, INSTANCE_IPS="2001:db8::7", INTERCEPTION_MODE="NONE")
    assert places(alone) == {"::1_80": ["::1"]}


@pytest.mark.parametrize(
    ("family", "addresses", "expected"),
    [("4", "10.0.0.7", {4}), ("6", "2001:db8::7", {6}), ("both", BOTH, {4, 6})],
)
def test_allocated_addresses_of_each_family(family: str, addresses: str, expected: set[int]) -> None:
    found = sent(DATABASE, mesh=ON, INSTANCE_IPS=addresses, DNS_CAPTURE="true", DNS_AUTO_ALLOCATE="true")
    listening = {bind for name, (bind, *_) in places(found).items() if name.endswith("_5432")}
    assert {6 if ":" in bind else 4 for bind in listening} == expected
    assert len(listening) == len(expected)


def sidecar(**ingress: Any) -> dict[str, Any]:
    port = {"number": 9080, "name": "http", "protocol": "HTTP"}
    return document("Sidecar", "s", {"ingress": [{"port": port, **ingress}]})


@pytest.mark.parametrize(
    ("ingress", "mode", "expected"),
    [
        ({"defaultEndpoint": "127.0.0.1:8080"}, "NONE", {"10.0.0.7_9080": ["10.0.0.7", "2001:db8::7"]}),
        ({"captureMode": "NONE"}, "REDIRECT", {"10.0.0.7_9080_bound": ["10.0.0.7", "2001:db8::7"]}),
        ({"bind": "0.0.0.0", "captureMode": "NONE"}, "REDIRECT", {"0.0.0.0_9080_bound": ["0.0.0.0"]}),
        ({"bind": "10.0.0.7", "captureMode": "NONE"}, "REDIRECT", {"10.0.0.7_9080_bound": ["10.0.0.7"]}),
    ],
)
def test_ports_of_the_workload(ingress: dict[str, Any], mode: str, expected: dict[str, list[str]]) -> None:
    found = places(sent(sidecar(**ingress), mesh=ON, INSTANCE_IPS=BOTH, INTERCEPTION_MODE=mode))
    assert {name: found[name] for name in found if "_9080" in name} == expected


@pytest.mark.parametrize("bind", ["", "10.0.0.8", "0.0.0.0"])
def test_gateways(bind: str) -> None:
    server = {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    spec = {"selector": {"app": "gw"}, "servers": [{**server, **({"bind": bind} if bind else {})}]}
    found = sent(
        document("Gateway", "g", spec), mesh=ON, to=proxy("router", labels={"app": "gw"}, INSTANCE_IPS=BOTH)
    )
    expected = [bind] if bind else ["0.0.0.0", "::"]
    assert places(found) == {f"{expected[0]}_8080": expected}


def clusters(mesh: dict[str, Any], addresses: str) -> dict[str, dict[str, Any]]:
    resources = mizzen.translate(mesh_of([IPV6_WORKLOAD], mesh), proxy(INSTANCE_IPS=addresses))
    return {
        each.name: json_format.MessageToDict(each, preserving_proto_field_name=True)
        for each in resources.clusters
    }


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [("2001:db8::7", ["::6"]), ("10.0.0.7", ["127.0.0.6"]), (BOTH, ["127.0.0.6", "::6"])],
)
def test_the_source_of_inbound_calls_is_of_their_family(addresses: str, expected: list[str]) -> None:
    source = clusters(ON, addresses)["InboundPassthroughCluster"]["upstream_bind_config"]
    extra = [each["address"]["address"] for each in source.get("extra_source_addresses", ())]
    assert [source["source_address"]["address"], *extra] == expected


def test_a_workload_with_ipv6_alone_is_called_at_its_loopback_address() -> None:
    mesh = {"inboundTrafficPolicy": {"mode": "LOCALHOST"}}
    (locality,) = clusters(mesh, "2001:db8::7")["inbound|8080||"]["load_assignment"]["endpoints"]
    (endpoint,) = locality["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {"address": "::1", "port_value": 8080}


def test_proxies_of_different_families_share_no_inbound_listener() -> None:
    translation = Translation(mesh_of([WEB], ON))
    inbound = [
        translation.snapshot(proxy(INSTANCE_IPS=addresses))
        .collection(type_urls.LISTENER)
        .resources["virtualInbound"]
        .version
        for addresses in ("10.0.0.7", "2001:db8::7", BOTH)
    ]
    assert len(set(inbound)) == 3
