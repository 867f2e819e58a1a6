"""virtualOutbound and virtualInbound, and the inbound ports that a Sidecar binds."""

from __future__ import annotations

from typing import Any

import pytest

import mizzen
from tests.unit.translator.listeners.listener_scenes import ADDRESS, HTTP_MATCH, Sent, document, sent, service

RAW = {"transport_protocol": "raw_buffer"}


def workload(port: int, protocol: str, *, host: str = "own.example", age: int = 0) -> dict[str, Any]:
    return service(host, port, protocol, endpoints=(ADDRESS,), age=age)


def inbound(found: Sent) -> list[tuple[Any, Any, Any]]:
    """(name, match, target) of each chain of virtualInbound."""
    names = [chain["name"] for chain in found.listeners["virtualInbound"]["filter_chains"]]
    return [(name, *chain) for name, chain in zip(names, found.chains("virtualInbound"), strict=True)]


def ingress(*listeners: dict[str, Any]) -> dict[str, Any]:
    return document("Sidecar", "default", {"ingress": list(listeners), "egress": [{"hosts": ["*/*"]}]})


def port(number: int, protocol: str) -> dict[str, Any]:
    return {"number": number, "name": f"p-{number}", "protocol": protocol}


def test_unknown_outbound_connections_pass_and_loops_end() -> None:
    found = sent()
    listener = found.listeners["virtualOutbound"]
    assert listener["address"]["socket_address"] == {"address": "0.0.0.0", "port_value": 15001}
    assert listener["use_original_dst"] is True
    assert listener["max_connections_to_accept_per_socket_event"] == 1
    assert [chain["name"] for chain in listener["filter_chains"]] == [
        "virtualOutbound-blackhole",
        "virtualOutbound-catchall-tcp",
    ]
    assert found.chains("virtualOutbound") == [
        ({"destination_port": 15001}, "BlackHoleCluster"),
        ({}, "PassthroughCluster"),
    ]
    assert found.filters("virtualOutbound") == []


def test_registry_only_lets_nothing_unknown_out() -> None:
    found = sent(mesh={"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})
    assert found.chains("virtualOutbound")[-1] == ({}, "BlackHoleCluster")


def test_dynamic_dns_sends_unknown_http_to_the_host_it_names() -> None:
    found = sent(
        service("a.example", 80, "HTTP"), mesh={"outboundTrafficPolicy": {"mode": "ALLOW_ANY_DYNAMIC_DNS"}}
    )
    assert found.filters("virtualOutbound") == ["http_inspector"]
    assert found.chains("virtualOutbound") == [
        ({"destination_port": 15001}, "BlackHoleCluster"),
        (HTTP_MATCH, "inline allow_any_dynamic_dns"),
        ({}, "PassthroughCluster"),
    ]
    manager = found.manager("virtualOutbound", 1)
    (host,) = manager["route_config"]["virtual_hosts"]
    assert host["domains"] == ["*"]
    assert host["routes"][0]["route"]["cluster"] == "AllowAnyDynamicDNSCluster"
    for each in (manager, found.manager("0.0.0.0_80")):
        names = [one["name"] for one in each["http_filters"]]
        assert names[-2:] == [
            "envoy.filters.http.dynamic_forward_proxy.allow_any_dfp_dns_cache",
            "envoy.filters.http.router",
        ]


def test_ports_of_the_mesh_configuration() -> None:
    found = sent(mesh={"proxyListenPort": 16001, "proxyInboundListenPort": 16006})
    assert found.listeners["virtualOutbound"]["address"]["socket_address"]["port_value"] == 16001
    assert found.listeners["virtualInbound"]["address"]["socket_address"]["port_value"] == 16006
    assert found.chains("virtualOutbound")[0][0] == {"destination_port": 16001}


def test_tproxy_keeps_addresses() -> None:
    found = sent(INTERCEPTION_MODE="TPROXY")
    assert found.listeners["virtualOutbound"]["transparent"] is True
    assert found.listeners["virtualInbound"]["transparent"] is True
    assert found.filters("virtualInbound") == ["original_dst", "original_src", "http_inspector"]
    source = found.listeners["virtualInbound"]["listener_filters"][1]["typed_config"]
    assert source["mark"] == 1337
    assert found.filters("virtualOutbound") == []


def test_every_kind_of_inbound_port_has_its_chains() -> None:
    found = sent(
        workload(9000, "HTTP", host="a.example"),
        workload(9001, "TCP", host="b.example"),
        workload(9002, "", host="c.example"),
    )
    assert inbound(found) == [
        ("virtualInbound-blackhole", {"destination_port": 15006}, "BlackHoleCluster"),
        ("virtualInbound-catchall-http", HTTP_MATCH, "inline InboundPassthroughCluster"),
        ("virtualInbound", RAW, "InboundPassthroughCluster"),
        ("0.0.0.0_9000", {"destination_port": 9000, **RAW}, "inline inbound|9000||"),
        ("0.0.0.0_9001", {"destination_port": 9001, **RAW}, "inbound|9001||"),
        ("0.0.0.0_9002", {"destination_port": 9002, **HTTP_MATCH}, "inline inbound|9002||"),
        ("0.0.0.0_9002", {"destination_port": 9002, **RAW}, "inbound|9002||"),
    ]


def test_nothing_is_inspected_on_ports_of_known_protocol() -> None:
    found = sent(
        workload(9000, "HTTP", host="a.example"),
        workload(9001, "MySQL", host="b.example"),
        workload(9002, "", host="c.example"),
    )
    assert found.filters("virtualInbound") == ["original_dst", "http_inspector"]
    disabled = found.listeners["virtualInbound"]["listener_filters"][1]["filter_disabled"]
    ports = [
        (each["destination_port_range"]["start"], each["destination_port_range"]["end"])
        for each in disabled["or_match"]["rules"]
    ]
    assert ports == [(9000, 9001), (9001, 9002), (15006, 15007)]


def test_the_older_service_says_what_a_port_speaks() -> None:
    found = sent(
        workload(9000, "TCP", host="old.example", age=3), workload(9000, "HTTP", host="new.example", age=1)
    )
    assert inbound(found)[3:] == [("0.0.0.0_9000", {"destination_port": 9000, **RAW}, "inbound|9000||")]
    assert ["MZ0102" in warning and "old.example" in warning for warning in found.warnings] == [True]


def test_ports_of_the_proxy_itself_are_not_served() -> None:
    found = sent(workload(15021, "HTTP"), ENVOY_STATUS_PORT=15021)
    assert len(inbound(found)) == 3
    assert any("MZ0104 port 15021 of the workload" in warning for warning in found.warnings)


def test_a_sidecar_replaces_what_services_say() -> None:
    found = sent(
        workload(9000, "HTTP"), ingress({"port": port(9100, "TCP"), "defaultEndpoint": "127.0.0.1:80"})
    )
    assert [name for name, *_ in inbound(found)[3:]] == ["0.0.0.0_9100"]


def test_ports_stand_in_order() -> None:
    found = sent(
        ingress(
            {"port": port(9200, "TCP"), "defaultEndpoint": "127.0.0.1:80"},
            {"port": port(9100, "HTTP"), "defaultEndpoint": "127.0.0.1:81"},
        )
    )
    assert [name for name, *_ in inbound(found)[3:]] == ["0.0.0.0_9100", "0.0.0.0_9200"]


def test_a_sidecar_binds_real_ports() -> None:
    bound = {"port": port(9100, ""), "bind": "10.0.0.8", "captureMode": "NONE"}
    captured = {"port": port(9200, "HTTP"), "defaultEndpoint": "127.0.0.1:80"}
    found = sent(ingress({**bound, "defaultEndpoint": "127.0.0.1:81"}, captured))
    assert found.chains("10.0.0.8_9100_bound") == [
        ({"destination_port": 9100, **HTTP_MATCH}, "inline inbound|9100||"),
        ({"destination_port": 9100, **RAW}, "inbound|9100||"),
    ]
    assert found.filters("10.0.0.8_9100_bound") == ["http_inspector"]
    assert found.listeners["10.0.0.8_9100_bound"]["traffic_direction"] == "INBOUND"
    assert [name for name, *_ in inbound(found)[3:]] == ["0.0.0.0_9200"]


def test_without_capture_just_a_sidecar_serves_inbound() -> None:
    assert sent(workload(9000, "HTTP"), INTERCEPTION_MODE="NONE").listeners.keys() == {"127.0.0.1_9000"}
    found = sent(
        ingress({"port": port(9100, "HTTP"), "defaultEndpoint": "127.0.0.1:80"}), INTERCEPTION_MODE="NONE"
    )
    assert found.listeners.keys() == {f"{ADDRESS}_9100"}


def test_an_unprivileged_proxy_binds_no_low_inbound_port() -> None:
    low = ingress({"port": port(80, "HTTP"), "defaultEndpoint": "127.0.0.1:8080"})
    found = sent(low, INTERCEPTION_MODE="NONE", UNPRIVILEGED_POD="true")
    assert found.listeners == {}
    assert "MZ0104 port 80 of the workload" in found.warnings[0]


def test_udp_of_a_sidecar_is_not_served() -> None:
    """Envoy refuses the listener of all inbound calls for its chain, which no connection could come to."""
    found = sent(ingress({"port": port(9100, "UDP"), "defaultEndpoint": "127.0.0.1:80"}))
    assert not [each for each in found.chains("virtualInbound") if "9100" in str(each)]
    assert "MZ0104 port 9100 of the workload is not served: proxies serve no UDP" in found.warnings[0]


def test_inbound_tcp_is_counted_as_the_mesh_configuration_says() -> None:
    named = sent(workload(9000, "TCP"), mesh={"inboundClusterStatName": "%SERVICE%_%TARGET_PORT%"})
    assert named.tcp("virtualInbound", 3)["stat_prefix"] == "own.example_9000"
    assert sent(workload(9000, "TCP")).tcp("virtualInbound", 3)["stat_prefix"] == "inbound|9000||"


def test_ports_of_the_proxy_itself_are_not_the_workloads() -> None:
    found = sent(
        workload(15006, "TCP"),
        workload(15001, "TCP", host="b.example"),
        workload(15021, "HTTP", host="c.example"),
        workload(15090, "HTTP", host="d.example"),
        workload(80, "HTTP", host="e.example"),
        ENVOY_STATUS_PORT="15021",
        ENVOY_PROMETHEUS_PORT="15090",
        UNPRIVILEGED_POD="true",
    )
    # A port that is captured is not bound, so it may be below 1024.
    assert [name for name, _, _ in inbound(found) if name.startswith("0.0.0.0_")] == ["0.0.0.0_80"]
    assert sum("MZ" in warning and "the proxy itself listens" in warning for warning in found.warnings) >= 4


def test_where_a_sidecars_own_port_leads_on_both_families() -> None:
    def target(endpoint: str) -> Any:
        found = sent(
            ingress({"port": port(7000, "HTTP"), "defaultEndpoint": endpoint}),
            INSTANCE_IPS=f"{ADDRESS},fd00::7",
        )
        resources = mizzen.translate(found.mesh, found.proxy)
        (cluster,) = [each for each in resources.clusters if each.name == "inbound|7000||"]
        (group,) = cluster.load_assignment.endpoints
        return group.lb_endpoints[0].endpoint.address.socket_address.address

    assert target("0.0.0.0:8000") == ADDRESS
    assert target("[::]:8000") == "fd00::7"
    assert target("127.0.0.1:8000") == "127.0.0.1"
    assert target("[::1]:8000") == "::1"


def test_inbound_statistics_may_be_named_by_the_service() -> None:
    own = service("own.example", 80, "HTTP", resolution="NONE", endpoints=())
    own["spec"] |= {"resolution": "STATIC", "workloadSelector": {"labels": {"app": "own"}}}
    del own["spec"]["endpoints"]
    found = sent(
        own,
        document(
            "WorkloadEntry", "own", {"address": ADDRESS, "labels": {"app": "own"}, "ports": {"p": 8080}}
        ),
        ingress({"port": port(8080, "HTTP"), "defaultEndpoint": "127.0.0.1:8080"}),
        mesh={"inboundClusterStatName": "%SERVICE_FQDN%_%SERVICE_PORT%_%TARGET_PORT%"},
    )
    clusters = {each.name: each for each in mizzen.translate(found.mesh, found.proxy).clusters}
    assert clusters["inbound|8080||"].alt_stat_name == "own.example_80_8080;"


def test_an_inbound_route_names_the_port_of_its_service_or_its_own() -> None:
    def operation(*documents: Any) -> Any:
        found = sent(*documents)
        for chain in found.listeners["virtualInbound"]["filter_chains"]:
            if chain["name"].startswith("0.0.0.0_"):
                config = chain["filters"][-1]["typed_config"]["route_config"]
                (host,) = config["virtual_hosts"]
                return host["name"], host["routes"][0]["decorator"]["operation"]
        raise AssertionError

    assert operation(workload(80, "HTTP")) == ("inbound|http|80", "own.example:80/*")
    alone = ingress({"port": port(7000, "HTTP"), "defaultEndpoint": "127.0.0.1:7000"})
    assert operation(alone) == ("inbound|http|7000", ":7000/*")


def test_a_sidecar_may_bind_a_port_of_the_proxy_itself_at_another_address() -> None:
    local = {"port": port(15021, "HTTP"), "defaultEndpoint": "127.0.0.1:8000", "captureMode": "NONE"}
    found = sent(ingress(local | {"bind": "127.0.0.9"}), ENVOY_STATUS_PORT="15021")
    assert "127.0.0.9_15021_bound" in found.listeners
    assert found.warnings == ()
    for given in (local, local | {"bind": "0.0.0.0"}):
        found = sent(ingress(given), ENVOY_STATUS_PORT="15021")
        assert not any("15021" in name for name in found.listeners)
        assert "MZ0104 port 15021" in found.warnings[0]


def test_a_port_that_a_sidecar_binds_is_bound_at_the_proxys_own_address() -> None:
    """The workload itself may listen there at 127.0.0.1."""
    given = {"port": port(9080, "HTTP"), "defaultEndpoint": "127.0.0.1:9080", "captureMode": "NONE"}
    found = sent(ingress(given))
    assert found.listeners["10.0.0.7_9080_bound"]["address"]["socket_address"] == {
        "address": "10.0.0.7",
        "port_value": 9080,
    }


def test_services_that_share_a_port_are_warned_of_where_they_disagree() -> None:
    def warnings(second: str) -> list[str]:
        found = sent(workload(80, "HTTP", age=2), workload(80, second, host="b.example", age=1))
        return [warning.split()[0] for warning in found.warnings if warning.startswith("MZ0102")]

    assert warnings("HTTP") == []
    assert warnings("HTTP2") == ["MZ0102"]


@pytest.mark.parametrize("mode", ["NONE", "DEFAULT", "IPTABLES"])
def test_one_address_has_one_listener_whose_name_says_whether_it_is_bound(mode: str) -> None:
    """Envoy crashes if a listener keeps its name while it begins to bind its port."""
    given = {
        "port": port(80, "HTTP"),
        "bind": "0.0.0.0",
        "defaultEndpoint": "127.0.0.1:81",
        "captureMode": mode,
    }
    found = sent(service("a.example", 80, "HTTP"), ingress(given))
    bound = {name: listener.get("bind_to_port", True) for name, listener in found.listeners.items()}
    expected = {"0.0.0.0_80_bound": True} if mode == "NONE" else {"0.0.0.0_80": False}
    assert {name: bound[name] for name in bound if name.startswith("0.0.0.0_80")} == expected
