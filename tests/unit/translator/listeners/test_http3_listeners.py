"""HTTP/3 at gateways: which servers have a listener on UDP too, and how clients learn of it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

import mizzen
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from tests.unit.translator.listeners.listener_scenes import document, mesh_of, proxy

ON = {"defaultConfig": {"proxyMetadata": {"PILOT_ENABLE_QUIC_LISTENERS": "true"}}}
OWN = {"PROXY_CONFIG": {"proxyMetadata": {"PILOT_ENABLE_QUIC_LISTENERS": "true"}}}
SIMPLE = {"mode": "SIMPLE", "credentialName": "shop"}


def server(host: str, tls: dict[str, Any] | None, protocol: str = "HTTPS", **more: Any) -> dict[str, Any]:
    name = f"{protocol.lower()}-{host.partition('.')[0]}"
    port = {"number": 8443, "name": name, "protocol": protocol}
    return {"port": port, "hosts": [host], **({"tls": tls} if tls else {}), **more}


def plain(messages: Any) -> dict[str, dict[str, Any]]:
    return {each.name: json_format.MessageToDict(each, preserving_proto_field_name=True) for each in messages}


def translated(*servers: dict[str, Any], mesh: Any = ON, **metadata: Any) -> mizzen.Resources:
    documents = [
        document("Gateway", "g", {"selector": {"app": "gw"}, "servers": list(servers)}),
        document(
            "VirtualService",
            "v",
            {"hosts": ["*"], "gateways": ["g"], "http": [{"directResponse": {"status": 200}}]},
        ),
    ]
    return mizzen.translate(mesh_of(documents, mesh), proxy("router", labels={"app": "gw"}, **metadata))


def announced(sent: mizzen.Resources) -> dict[str, str]:
    """What the answers of each route configuration say in `alt-svc`."""
    return {
        name: option["header"]["value"]
        for name, routes in plain(sent.routes).items()
        for option in routes.get("response_headers_to_add", ())
    }


@pytest.mark.parametrize(
    ("mesh", "metadata", "served"),
    [({}, {}, False), (ON, {}, True), ({}, OWN, True), (ON, {"PROXY_CONFIG": {"proxyHeaders": {}}}, False)],
)
def test_it_is_turned_on(mesh: dict[str, Any], metadata: dict[str, Any], served: bool) -> None:
    sent = translated(server("a.com", SIMPLE), mesh=mesh, **metadata)
    names = {"0.0.0.0_8443"} | ({"udp_0.0.0.0_8443"} if served else set())
    assert plain(sent.listeners).keys() == names
    assert list(announced(sent).values()) == (['h3=":8443"; ma=86400'] if served else [])


@pytest.mark.parametrize(
    ("tls", "protocol"),
    [
        ({**SIMPLE, "mode": "MUTUAL"}, "HTTPS"),
        ({**SIMPLE, "mode": "OPTIONAL_MUTUAL"}, "HTTPS"),
        ({"mode": "PASSTHROUGH"}, "TLS"),
        ({"mode": "AUTO_PASSTHROUGH"}, "TLS"),
        (SIMPLE, "TLS"),
        (None, "HTTP"),
        ({"httpsRedirect": True}, "HTTP"),
    ],
)
def test_what_is_served_on_tcp_alone(tls: dict[str, Any] | None, protocol: str) -> None:
    sent = translated(server("a.com", tls, protocol))
    assert all(not name.startswith("udp_") for name in plain(sent.listeners))
    assert not announced(sent)


def test_the_listener_on_udp() -> None:
    sent = translated(
        server("a.com", {**SIMPLE, "minProtocolVersion": "TLSV1_2"}),
        server("b.com", {**SIMPLE, "mode": "MUTUAL"}),
        server("c.com", {**SIMPLE, "credentialName": "other"}),
    )
    listeners = plain(sent.listeners)
    udp = listeners["udp_0.0.0.0_8443"]
    assert udp["address"]["socket_address"] == {
        "protocol": "UDP",
        "address": "0.0.0.0",
        "port_value": 8443,
    }
    assert udp["udp_listener_config"] == {"quic_options": {}, "downstream_socket_config": {}}
    assert "listener_filters" not in udp
    assert [chain["filter_chain_match"]["server_names"] for chain in udp["filter_chains"]] == [
        ["a.com"],
        ["c.com"],
    ]
    for chain, credential in zip(udp["filter_chains"], ("shop", "other"), strict=True):
        socket = chain["transport_socket"]
        assert socket["name"] == "envoy.transport_sockets.quic"
        context = socket["typed_config"]["downstream_tls_context"]["common_tls_context"]
        assert context["alpn_protocols"] == ["h3"]
        assert "tls_params" not in context
        (name,) = [each["name"] for each in context["tls_certificate_sds_secret_configs"]]
        assert name == f"kubernetes://{credential}"
        manager = chain["filters"][-1]["typed_config"]
        assert (manager["codec_type"], manager["http3_protocol_options"]) == ("HTTP3", {})
    assert len(listeners["0.0.0.0_8443"]["filter_chains"]) == 3
    assert len(announced(sent)) == 2


def test_both_families() -> None:
    metadata = {"ISTIO_DUAL_STACK": "true", "PILOT_ENABLE_QUIC_LISTENERS": "true"}
    sent = translated(
        server("a.com", SIMPLE),
        mesh={"defaultConfig": {"proxyMetadata": metadata}},
        INSTANCE_IPS="10.0.0.7,2001:db8::7",
    )
    (beside,) = plain(sent.listeners)["udp_0.0.0.0_8443"]["additional_addresses"]
    assert beside["address"]["socket_address"] == {"protocol": "UDP", "address": "::", "port_value": 8443}


def test_what_did_not_change_stays_the_same_object() -> None:
    documents = [document("Gateway", "g", {"selector": {"app": "gw"}, "servers": [server("a.com", SIMPLE)]})]
    translation = Translation(mesh_of(documents, ON))
    gateway = proxy("router", labels={"app": "gw"})
    other = proxy("router", labels={"app": "gw"}, INSTANCE_IPS="10.0.0.8")
    routes = [translation.snapshot(each).collection(type_urls.ROUTE) for each in (gateway, other)]
    assert routes[0] is routes[1]
