"""TCP and TLS rules of virtual services on sidecars."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.translator.listeners.listener_scenes import document, rule, sent, service, to

TLS = service("s.example", 443, "TLS")
TCP = service("t.example", 9000, "TCP", address="10.1.0.1")
OTHER = service("other.example", 443, "TLS", address="10.1.0.9")
V9 = service("v9.example", 9001, "TCP", address="10.1.0.2")
ELSE = {"otherwise": True}
TCP_NAME = "10.1.0.1_9000"
OWN_TCP = "outbound|9000||t.example"


def tls(*hosts: str, to_host: str = "other.example", **match: Any) -> dict[str, Any]:
    return {"match": [{"sniHosts": list(hosts), **match}], "route": [to(to_host)]}


def prefix(address: str, length: int) -> dict[str, Any]:
    return {"prefix_ranges": [{"address_prefix": address, "prefix_len": length}]}


def policy(host: str, **traffic_policy: Any) -> dict[str, Any]:
    return document("DestinationRule", f"policy-{host}", {"host": host, "trafficPolicy": traffic_policy})


def test_without_a_rule_the_name_of_the_service_is_the_sni_on_a_shared_address() -> None:
    found = sent(TLS, OTHER)
    assert found.chains("0.0.0.0_443") == [
        ({"server_names": ["s.example"]}, "outbound|443||s.example"),
        (ELSE, "PassthroughCluster"),
    ]
    assert found.chains("10.1.0.9_443") == [({}, "outbound|443||other.example")]


def test_a_range_narrows_by_sni_too() -> None:
    ranged = service("r.example", 443, "TLS", address="10.3.0.0/16", resolution="NONE")
    match = {"server_names": ["r.example"], **prefix("10.3.0.0", 16)}
    assert sent(ranged).chains("0.0.0.0_443")[0] == (match, "outbound|443||r.example")


def test_without_capture_ranges_are_told_apart_by_sni_alone() -> None:
    found = sent(
        service("r.example", 443, "TLS", address="10.3.0.0/16", resolution="NONE", age=3),
        service("s.example", 443, "TLS", address="10.4.0.0/16", resolution="NONE", age=2),
        service("t.example", 443, "TLS", address="10.1.0.9", age=1),
        INTERCEPTION_MODE="NONE",
    )
    assert found.chains("127.0.0.1_443") == [
        ({"server_names": ["r.example"]}, "outbound|443||r.example"),
        ({"server_names": ["s.example"]}, "outbound|443||s.example"),
        (ELSE, "outbound|443||t.example"),
    ]
    assert found.warnings == ()


def test_a_rule_of_several_hosts_is_in_nobodys_way() -> None:
    rule_of_two = document(
        "VirtualService",
        "two",
        {"hosts": ["a.example", "b.example"], "tls": [tls("a.example"), tls("b.example")]},
    )
    found = sent(service("a.example", 443, "TLS"), service("b.example", 443, "TLS"), OTHER, rule_of_two)
    assert [match.get("server_names") for match, _ in found.chains("0.0.0.0_443")] == [
        ["a.example"],
        ["b.example"],
        None,
    ]
    assert found.warnings == ()


def test_each_match_of_a_tls_rule_is_a_chain() -> None:
    found = sent(TLS, OTHER, rule("*.example", tls=[tls("a.s.example", "b.s.example"), tls("c.s.example")]))
    assert found.chains("0.0.0.0_443") == [
        ({"server_names": ["a.s.example", "b.s.example"]}, "outbound|443||other.example"),
        ({"server_names": ["c.s.example"]}, "outbound|443||other.example"),
        (ELSE, "PassthroughCluster"),
    ]


def test_of_equal_matches_the_first_counts() -> None:
    found = sent(TLS, OTHER, rule("s.example", tls=[tls("s.example"), tls("s.example", to_host="s.example")]))
    assert [target for _, target in found.chains("0.0.0.0_443")] == [
        "outbound|443||other.example",
        "PassthroughCluster",
    ]


def test_a_subnet_narrows_the_matches_after_it_as_in_istio() -> None:
    found = sent(
        TLS,
        OTHER,
        rule(
            "*.example",
            tls=[
                tls("a.s.example", destinationSubnets=["10.7.0.0/16"]),
                tls("b.s.example"),
            ],
        ),
    )
    assert [match for match, _ in found.chains("0.0.0.0_443")[:2]] == [
        {"server_names": ["a.s.example"], **prefix("10.7.0.0", 16)},
        {"server_names": ["b.s.example"], **prefix("10.7.0.0", 16)},
    ]


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ({"port": 443}, True),
        ({"port": 444}, False),
        ({"gateways": ["mesh"]}, True),
        ({"gateways": ["edge"]}, False),
        ({"sourceLabels": {"app": "client"}}, True),
        ({"sourceLabels": {"app": "else"}}, False),
        ({"sourceNamespace": "default"}, True),
        ({"sourceNamespace": "else"}, False),
    ],
)
def test_what_no_connection_can_change_is_decided_beforehand(match: dict[str, Any], applies: bool) -> None:
    routed = rule("s.example", gateways=["mesh", "edge"], tls=[tls("s.example", **match)])
    target = sent(TLS, OTHER, routed).chains("0.0.0.0_443")[0][1]
    assert target == ("outbound|443||other.example" if applies else "outbound|443||s.example")


def test_tls_rules_are_not_for_tcp_ports_nor_tcp_rules_for_tls_ports() -> None:
    found = sent(
        TLS,
        TCP,
        V9,
        rule("t.example", tls=[tls("t.example", to_host="v9.example")]),
        rule("s.example", tcp=[{"route": [to("v9.example")]}]),
    )
    assert found.chains(TCP_NAME) == [({}, OWN_TCP)]
    assert found.chains("0.0.0.0_443")[0][1] == "outbound|443||s.example"


def test_a_tcp_rule_without_match_takes_all() -> None:
    found = sent(TCP, V9, rule("t.example", tcp=[{"route": [to("v9.example")]}]))
    assert found.chains(TCP_NAME) == [({}, "outbound|9001||v9.example")]


def test_subnets_of_a_tcp_rule_stand_before_the_service_itself() -> None:
    found = sent(
        TCP,
        V9,
        rule(
            "t.example",
            tcp=[
                {
                    "match": [{"destinationSubnets": ["10.8.0.0/16"]}, {"destinationSubnets": ["10.9.0.1"]}],
                    "route": [to("v9.example")],
                }
            ],
        ),
    )
    ranges = prefix("10.8.0.0", 16)["prefix_ranges"] + prefix("10.9.0.1", 32)["prefix_ranges"]
    assert found.chains(TCP_NAME) == [
        ({"prefix_ranges": ranges}, "outbound|9001||v9.example"),
        (ELSE, OWN_TCP),
    ]


def test_a_network_stands_in_one_chain_once() -> None:
    """Envoy refuses the listener otherwise, which would take the port away from every service on it."""
    other = {"match": [{"destinationSubnets": ["10.2.0.0/16", "10.2.0.9/16"]}], "route": [to("v9.example")]}
    later = {
        "match": [{"destinationSubnets": ["10.3.0.0/16", "10.2.0.0/16"]}],
        "route": [to("t.example")],
    }
    found = sent(TCP, V9, rule("t.example", tcp=[other, later]))
    assert found.chains(TCP_NAME) == [
        (prefix("10.2.0.0", 16), "outbound|9001||v9.example"),
        (prefix("10.3.0.0", 16), OWN_TCP),
        (ELSE, OWN_TCP),
    ]
    assert found.warnings == ()


def test_a_name_on_networks_of_which_an_earlier_chain_has_some() -> None:
    first = tls("s.example", destinationSubnets=["10.2.0.0/16"])
    second = tls(
        "s.example", "x.example", to_host="s.example", destinationSubnets=["10.2.0.0/16", "10.3.0.0/16"]
    )
    found = sent(
        TLS, OTHER, document("VirtualService", "two", {"hosts": ["*.example"], "tls": [first, second]})
    )
    both = [*prefix("10.2.0.0", 16)["prefix_ranges"], *prefix("10.3.0.0", 16)["prefix_ranges"]]
    assert [match for match, _ in found.chains("0.0.0.0_443")[:3]] == [
        {"server_names": ["s.example"], **prefix("10.2.0.0", 16)},
        {"server_names": ["s.example"], **prefix("10.3.0.0", 16)},
        {"server_names": ["x.example"], "prefix_ranges": both},
    ]


def test_a_match_without_subnet_ends_the_list() -> None:
    found = sent(
        TCP,
        V9,
        rule(
            "t.example",
            tcp=[{"match": [{"port": 9000}], "route": [to("v9.example")]}, {"route": [to("t.example")]}],
        ),
    )
    assert found.chains(TCP_NAME) == [({}, "outbound|9001||v9.example")]


def test_weights_and_the_name_they_are_counted_under() -> None:
    routes = [to("t.example", weight=75), to("v9.example", weight=25), to("other.example", weight=0)]
    found = sent(TCP, V9, OTHER, rule("t.example", name="split", tcp=[{"route": routes}]))
    assert found.chains(TCP_NAME) == [({}, {OWN_TCP: 75, "outbound|9001||v9.example": 25})]
    assert found.tcp(TCP_NAME)["stat_prefix"] == "split.default"


def test_one_destination_is_counted_under_its_cluster() -> None:
    assert sent(TCP).tcp(TCP_NAME)["stat_prefix"] == OWN_TCP
    named = sent(TCP, mesh={"outboundClusterStatName": "%SERVICE%_%SERVICE_PORT%_%SERVICE_PORT_NAME%"})
    assert named.tcp(TCP_NAME)["stat_prefix"] == "t.example_9000_p"


def test_limits_of_the_destination_rule() -> None:
    pool = {"tcp": {"idleTimeout": "30s", "maxConnectionDuration": "90s"}}
    limited = sent(TCP, policy("t.example", connectionPool=pool), IDLE_TIMEOUT="7s").tcp(TCP_NAME)
    assert (limited["idle_timeout"], limited["max_downstream_connection_duration"]) == ("30s", "90s")
    assert sent(TCP, IDLE_TIMEOUT="7s").tcp(TCP_NAME)["idle_timeout"] == "7s"
    assert "idle_timeout" not in sent(TCP).tcp(TCP_NAME)


def test_limits_of_connections_are_those_of_the_rule_not_of_a_port() -> None:
    port = {
        "port": {"number": 9000},
        "connectionPool": {"tcp": {"idleTimeout": "3s", "maxConnectionDuration": "9s"}},
        "loadBalancer": {"consistentHash": {"useSourceIp": True}},
    }
    whole = {"connectionPool": {"tcp": {"idleTimeout": "8s"}}}

    of_port = sent(TCP, policy("t.example", portLevelSettings=[port])).tcp(TCP_NAME)
    both = sent(TCP, policy("t.example", **whole, portLevelSettings=[port])).tcp(TCP_NAME)

    for field in ("idle_timeout", "max_downstream_connection_duration", "hash_policy"):
        assert field not in of_port
    assert both["idle_timeout"] == "8s"
    assert "max_downstream_connection_duration" not in both


def test_a_subset_has_only_its_load_balancer_and_its_tunnel() -> None:
    hashing = {"consistentHash": {"useSourceIp": True}}
    subset = {
        "connectionPool": {"tcp": {"idleTimeout": "3s"}},
        "loadBalancer": {"simple": "RANDOM"},
        "tunnel": {"targetHost": "far.example", "targetPort": 80},
    }
    rules = document(
        "DestinationRule",
        "subsets",
        {
            "host": "t.example",
            "trafficPolicy": {"connectionPool": {"tcp": {"idleTimeout": "8s"}}, "loadBalancer": hashing},
            "subsets": [{"name": "v1", "trafficPolicy": subset}, {"name": "v2"}],
        },
    )
    made = {}
    for name in ("v1", "v2"):
        route = {"destination": {"host": "t.example", "subset": name}}
        made[name] = sent(TCP, rules, rule("t.example", tcp=[{"route": [route]}])).tcp(TCP_NAME)

    assert made["v1"]["idle_timeout"] == made["v2"]["idle_timeout"] == "8s"
    assert "hash_policy" not in made["v1"]
    assert made["v2"]["hash_policy"] == [{"source_ip": {}}]
    assert made["v1"]["tunneling_config"]["hostname"] == "far.example:80"
    assert "tunneling_config" not in made["v2"]


def test_hashing_by_source_address_and_a_subset_that_overrides_it() -> None:
    by_source = {"loadBalancer": {"consistentHash": {"useSourceIp": True}}}
    subsets = [{"name": "v1"}, {"name": "v2", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}]
    hashed = document(
        "DestinationRule", "h", {"host": "t.example", "trafficPolicy": by_source, "subsets": subsets}
    )
    source = [{"source_ip": {}}]
    assert sent(TCP, hashed).tcp(TCP_NAME)["hash_policy"] == source
    for subset, expected in (("v1", source), ("v2", None)):
        routed = rule("t.example", tcp=[{"route": [to("t.example", subset=subset)]}])
        found = sent(TCP, hashed, routed)
        assert found.chains(TCP_NAME) == [({}, f"outbound|9000|{subset}|t.example")]
        assert found.tcp(TCP_NAME).get("hash_policy") == expected


@pytest.mark.parametrize(("protocol", "use_post"), [("CONNECT", {}), ("POST", {"use_post": True})])
def test_a_tunnel(protocol: str, use_post: dict[str, bool]) -> None:
    tunnel = {"protocol": protocol, "targetHost": "far.example", "targetPort": 5000}
    found = sent(TCP, policy("t.example", tunnel=tunnel))
    assert found.tcp(TCP_NAME)["tunneling_config"] == {"hostname": "far.example:5000", **use_post}


def test_a_wildcard_whose_hosts_are_dialled_by_their_sni() -> None:
    found = sent(service("*.wild.example", 443, "TLS", resolution="DYNAMIC_DNS"))
    chain = found.listeners["0.0.0.0_443"]["filter_chains"][0]
    assert chain["filter_chain_match"] == {"server_names": ["*.wild.example"]}
    names = [each["name"].rpartition(".")[2] for each in chain["filters"]]
    assert names == ["sni_dynamic_forward_proxy", "tcp_proxy"]
    assert chain["filters"][0]["typed_config"]["port_value"] == 443
    assert found.filters("0.0.0.0_443") == ["tls_inspector"]
