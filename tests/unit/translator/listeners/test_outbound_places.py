"""Where outbound listeners stand: captured, bound for real, on a Sidecar's own ports and addresses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.translator.listeners.listener_scenes import HTTP_MATCH, document, rule, sent, service, to

WEB = service("web.example", 8080, "HTTP", age=2)
DB = service("db.example", 3306, "TCP", address="10.1.0.1", age=1)
OWN = {"virtualOutbound", "virtualInbound"}


def sidecar(*egress: dict[str, Any], **more: Any) -> dict[str, Any]:
    return document("Sidecar", "default", {"egress": list(egress), **more})


def test_captured_calls_need_no_port_of_the_proxy() -> None:
    found = sent(WEB, DB)
    assert set(found.listeners) == OWN | {"0.0.0.0_8080", "10.1.0.1_3306"}
    for name in ("0.0.0.0_8080", "10.1.0.1_3306"):
        assert found.listeners[name]["bind_to_port"] is False
        assert "max_connections_to_accept_per_socket_event" not in found.listeners[name]
        assert found.listeners[name]["continue_on_listener_filters_timeout"] is True
        assert found.listeners[name]["traffic_direction"] == "OUTBOUND"


def test_without_capture_every_port_is_bound_on_loopback() -> None:
    found = sent(WEB, DB, INTERCEPTION_MODE="NONE")
    assert set(found.listeners) == {"127.0.0.1_8080", "127.0.0.1_3306"}
    for listener in found.listeners.values():
        assert "bind_to_port" not in listener
        assert listener["max_connections_to_accept_per_socket_event"] == 1
    assert found.chains("127.0.0.1_8080") == [({}, "routes 8080")]
    assert found.filters("127.0.0.1_8080") == []


def test_without_capture_an_ipv6_proxy_binds_its_own_loopback() -> None:
    found = sent(WEB, INTERCEPTION_MODE="NONE", INSTANCE_IPS="2001:db8::7")
    assert set(found.listeners) == {"::1_8080"}


def test_an_ipv6_proxy_listens_on_its_wildcard() -> None:
    found = sent(WEB, service("tcp.example", 9000, "TCP"), INSTANCE_IPS="2001:db8::7")
    assert set(found.listeners) == OWN | {"::_8080", "::_9000"}
    assert found.listeners["virtualOutbound"]["address"]["socket_address"]["address"] == "::"


def test_inspectors_run_only_where_a_chain_asks_for_what_they_find() -> None:
    found = sent(
        WEB,
        DB,
        service("tls.example", 443, "TLS"),
        service("vip.example", 443, "TLS", address="10.1.0.2"),
        service("both.example", 8443, "TLS", age=3),
        service("plain.example", 8443, "HTTP"),
        mesh={"protocolDetectionTimeout": "5s"},
    )
    assert found.filters("0.0.0.0_8080") == ["http_inspector"]
    assert found.filters("10.1.0.1_3306") == []
    assert found.filters("0.0.0.0_443") == ["tls_inspector"]
    assert found.filters("10.1.0.2_443") == []
    assert found.filters("0.0.0.0_8443") == ["tls_inspector", "http_inspector"]
    assert found.listeners["0.0.0.0_8080"]["listener_filters_timeout"] == "5s"
    assert found.listeners["0.0.0.0_443"]["listener_filters_timeout"] == "0s"


def test_exact_balance_is_asked_for_by_the_node() -> None:
    found = sent(WEB, OUTBOUND_LISTENER_EXACT_BALANCE="true")
    assert found.listeners["0.0.0.0_8080"]["connection_balance_config"] == {"exact_balance": {}}
    assert "connection_balance_config" not in found.listeners["virtualInbound"]
    found = sent(WEB, INBOUND_LISTENER_EXACT_BALANCE="true")
    assert found.listeners["virtualInbound"]["connection_balance_config"] == {"exact_balance": {}}
    assert "connection_balance_config" not in found.listeners["0.0.0.0_8080"]


@pytest.mark.parametrize("number", [15001, 15006, 15021, 15090])
def test_ports_of_the_proxy_itself_are_left_out_and_named(number: int) -> None:
    ports = {"ENVOY_STATUS_PORT": 15021, "ENVOY_PROMETHEUS_PORT": 15090}
    found = sent(
        service("a.example", number, "HTTP"),
        service("b.example", number, "HTTP"),
        service("vip.example", number, "TCP", address="10.1.0.3"),
        **ports,
    )
    assert set(found.listeners) == OWN | {f"10.1.0.3_{number}"}
    assert len(found.warnings) == 1
    assert f"MZ0104 port {number}" in found.warnings[0]


def test_ports_that_the_node_does_not_claim_are_served() -> None:
    assert "0.0.0.0_15021" in sent(service("a.example", 15021, "HTTP")).listeners


def test_an_unprivileged_proxy_binds_no_low_port() -> None:
    low = service("a.example", 80, "HTTP")
    found = sent(low, WEB, INTERCEPTION_MODE="NONE", UNPRIVILEGED_POD="true")
    assert set(found.listeners) == {"127.0.0.1_8080"}
    assert "MZ0104 port 80" in found.warnings[0]
    assert "0.0.0.0_80" in sent(low, UNPRIVILEGED_POD="true").listeners


def test_the_http_proxy_port_of_mesh_and_node() -> None:
    found = sent(WEB, mesh={"proxyHttpPort": 15002})
    assert found.chains("127.0.0.1_15002_bound") == [({}, "routes http_proxy")]
    assert found.manager("127.0.0.1_15002_bound")["http_protocol_options"] == {"allow_absolute_url": True}
    assert "bind_to_port" not in found.listeners["127.0.0.1_15002_bound"]
    assert "http_proxy" in found.routes
    found = sent(WEB, mesh={"proxyHttpPort": 15002}, HTTP_PROXY_PORT="15003")
    assert "127.0.0.1_15003_bound" in found.listeners
    assert "127.0.0.1_15002_bound" not in found.listeners


def test_a_port_of_an_egress_listener_belongs_to_its_services_alone() -> None:
    found = sent(
        service("a.example", 8080, "HTTP"),
        service("b.example", 8080, "TCP"),
        DB,
        sidecar(
            {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*/a.example"]},
            {"hosts": ["*/*"]},
        ),
    )
    assert found.chains("0.0.0.0_8080") == [
        (HTTP_MATCH, "routes 8080"),
        ({"otherwise": True}, "PassthroughCluster"),
    ]
    assert "10.1.0.1_3306" in found.listeners
    assert found.warnings == ()


def test_an_egress_listener_binds_where_it_says() -> None:
    port = {"number": 9080, "name": "http", "protocol": "HTTP"}
    found = sent(
        service("a.example", 9080, "HTTP"),
        sidecar({"port": port, "bind": "127.0.0.2", "captureMode": "NONE", "hosts": ["*/*"]}),
    )
    assert found.chains("127.0.0.2_9080_bound") == [({}, "routes 9080")]
    assert "bind_to_port" not in found.listeners["127.0.0.2_9080_bound"]
    found = sent(
        service("a.example", 9080, "HTTP"), sidecar({"port": port, "captureMode": "NONE", "hosts": ["*/*"]})
    )
    assert "127.0.0.1_9080_bound" in found.listeners


def test_an_egress_listener_on_a_unix_socket() -> None:
    port = {"number": 0, "name": "http", "protocol": "HTTP"}
    found = sent(WEB, sidecar({"port": port, "bind": "unix:///run/web.sock", "hosts": ["*/*"]}))
    name = "unix:///run/web.sock_0"
    assert found.listeners[name]["address"] == {"pipe": {"path": "/run/web.sock"}}
    assert "bind_to_port" not in found.listeners[name]
    assert found.chains(name) == [({}, "routes unix:///run/web.sock")]


def test_tcp_on_a_unix_socket_goes_to_the_only_port_of_the_service() -> None:
    port = {"number": 0, "name": "tcp", "protocol": "TCP"}
    found = sent(DB, sidecar({"port": port, "bind": "unix:///run/db.sock", "hosts": ["*/*"]}))
    assert found.chains("unix:///run/db.sock_0") == [({}, "outbound|3306||db.example")]


def test_no_address_is_compared_on_a_unix_socket() -> None:
    port = {"number": 0, "name": "tls", "protocol": "TLS"}
    match = {"sniHosts": ["s.example"], "destinationSubnets": ["10.7.0.0/16"]}
    found = sent(
        service("s.example", 443, "TLS"),
        rule("s.example", tls=[{"match": [match], "route": [to("s.example")]}]),
        sidecar({"port": port, "bind": "unix:///run/s.sock", "hosts": ["*/*"]}),
    )
    assert found.chains("unix:///run/s.sock_0")[0] == (
        {"server_names": ["s.example"]},
        "outbound|443||s.example",
    )


def test_an_http_proxy_of_a_sidecar_serves_all_ports() -> None:
    port = {"number": 3128, "name": "proxy", "protocol": "HTTP_PROXY"}
    found = sent(WEB, service("b.example", 9090, "HTTP"), sidecar({"port": port, "hosts": ["*/*"]}))
    assert found.chains("0.0.0.0_3128") == [({}, "routes 3128")]
    assert set(found.listeners) == OWN | {"0.0.0.0_3128"}


def headless(*endpoints: str, protocol: str = "TCP") -> list[dict[str, Any]]:
    selector = {"labels": {"app": "h"}}
    return [
        service("h.example", 7000, protocol, resolution="NONE", workloadSelector=selector),
        *(
            document("WorkloadEntry", f"h-{number}", {"address": address, "labels": {"app": "h"}})
            for number, address in enumerate(endpoints)
        ),
    ]


def test_each_endpoint_of_a_service_without_address_has_its_listener() -> None:
    found = sent(headless("10.2.0.1", "10.2.0.2"))
    assert set(found.listeners) == OWN | {"10.2.0.1_7000", "10.2.0.2_7000"}
    assert found.chains("10.2.0.1_7000") == [({}, "outbound|7000||h.example")]
    # The proxy's own address is no exception: proxies that share listeners have many.
    assert "10.0.0.7_7000" in sent(headless("10.0.0.7")).listeners
    assert set(sent(headless("host.example")).listeners) == OWN


def test_just_the_endpoints_of_a_port_have_listeners_on_it() -> None:
    ports = [{"name": "tcp-a", "port": 7000}, {"name": "tcp-b", "port": 7001}]
    metadata = {"name": "h", "namespace": "default"}
    found = sent(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": "None", "ports": ports},
        },
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": metadata,
            "subsets": [
                {"addresses": [{"ip": f"10.2.0.{each['port'] - 6999}"}], "ports": [each]} for each in ports
            ],
        },
    )
    assert set(found.listeners) == OWN | {"10.2.0.1_7000", "10.2.0.2_7001"}


def test_http_of_such_a_service_is_routed_by_host() -> None:
    assert set(sent(headless("10.2.0.1", protocol="HTTP")).listeners) == OWN | {"0.0.0.0_7000"}


def test_without_endpoints_it_is_called_anywhere() -> None:
    found = sent(service("h.example", 7000, "TCP", resolution="NONE"))
    assert found.chains("0.0.0.0_7000") == [({}, "outbound|7000||h.example")]
    assert set(sent(headless()).listeners) == OWN


def test_allocated_addresses_count_for_proxies_that_capture_dns() -> None:
    named = service("named.example", 6379, "TCP", resolution="DNS", endpoints=("redis.example",))
    assert "0.0.0.0_6379" in sent(named).listeners
    found = sent(named, DNS_CAPTURE="true", DNS_AUTO_ALLOCATE="true")
    (address,) = [name for name in found.listeners if name.endswith("_6379")]
    assert address.startswith("240.240.")


def test_a_service_without_endpoints_is_on_every_address_unless_it_is_known_by_them() -> None:
    declared = service("a.example", 9999, "TCP", resolution="NONE", endpoints=())
    del declared["spec"]["endpoints"]
    headless = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"clusterIP": "None", "ports": [{"name": "tcp", "port": 9998}]},
    }
    found = sent(declared, headless)
    assert "0.0.0.0_9999" in found.listeners
    assert not [name for name in found.listeners if name.endswith("_9998")]


def test_an_unprivileged_proxy_may_listen_on_a_socket() -> None:
    found = sent(
        service("a.example", 8080, "HTTP"),
        sidecar(
            {
                "bind": "unix:///run/a.sock",
                "port": {"number": 0, "name": "u", "protocol": "HTTP"},
                "hosts": ["*/a.example"],
            },
            {"hosts": ["*/*"]},
        ),
        UNPRIVILEGED_POD="true",
    )
    assert "unix:///run/a.sock_0" in found.listeners
    assert found.warnings == ()


def test_names_of_several_forward_proxies_are_resolved_beside_a_tcp_service() -> None:
    def dynamic(host: str, age: int) -> dict[str, Any]:
        made = service(host, 8080, "HTTP", resolution="DYNAMIC_DNS", endpoints=(), age=age)
        del made["spec"]["endpoints"]
        return made

    found = sent(
        service("a.example", 8080, "TCP", age=3), dynamic("*.one.example", 2), dynamic("*.two.example", 1)
    )
    caches = [
        each["typed_config"]["dns_cache_config"]["name"]
        for each in found.manager("0.0.0.0_8080")["http_filters"]
        if "dynamic_forward_proxy" in each["name"]
    ]
    assert caches == ["*.one.example_dfp_dns_cache", "*.two.example_dfp_dns_cache"]
    assert found.chains("0.0.0.0_8080")[-1] == ({"otherwise": True}, "outbound|8080||a.example")
