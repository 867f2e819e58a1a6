"""Which services share a port, and who yields: the table of (what is there, what comes)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.translator.listeners.listener_scenes import HTTP_MATCH, document, rule, sent, service, to

ANY = "0.0.0.0_8000"
LOCAL = "127.0.0.1_8000"
ELSE = {"otherwise": True}


def pair(first: str, second: str, **metadata: Any) -> Any:
    return sent(
        service("old.example", 8000, first, age=2), service("new.example", 8000, second, age=1), **metadata
    )


OLD_TCP, NEW_TCP = "outbound|8000||old.example", "outbound|8000||new.example"


@pytest.mark.parametrize(
    ("first", "second", "chains", "warned"),
    [
        ("HTTP", "HTTP", [(HTTP_MATCH, "routes 8000"), (ELSE, "PassthroughCluster")], 0),
        ("HTTP", "TCP", [(HTTP_MATCH, "routes 8000"), (ELSE, NEW_TCP)], 0),
        ("HTTP", "", [(HTTP_MATCH, "routes 8000"), (ELSE, "PassthroughCluster")], 1),
        ("TCP", "HTTP", [(HTTP_MATCH, "routes 8000"), (ELSE, OLD_TCP)], 0),
        ("TCP", "TCP", [({}, OLD_TCP)], 1),
        ("TCP", "", [(HTTP_MATCH, "routes 8000"), (ELSE, OLD_TCP)], 1),
        ("", "HTTP", [(HTTP_MATCH, "routes 8000"), (ELSE, OLD_TCP)], 0),
        ("", "TCP", [(HTTP_MATCH, "routes 8000"), (ELSE, OLD_TCP)], 1),
        ("", "", [(HTTP_MATCH, "routes 8000"), (ELSE, OLD_TCP)], 1),
    ],
)
def test_two_services_without_address(first: str, second: str, chains: Any, warned: int) -> None:
    found = pair(first, second)
    assert found.chains(ANY) == chains
    assert len(found.warnings) == warned
    assert all("new.example" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("first", "second", "chains", "warned"),
    [
        ("HTTP", "HTTP", [({}, "routes 8000")], 0),
        ("HTTP", "TCP", [({}, "routes 8000")], 1),
        ("HTTP", "", [(HTTP_MATCH, "routes new.example:8000"), (ELSE, NEW_TCP)], 0),
        ("TCP", "HTTP", [({}, OLD_TCP)], 1),
        ("TCP", "TCP", [({}, OLD_TCP)], 1),
        ("TCP", "", [(HTTP_MATCH, "routes new.example:8000"), (ELSE, OLD_TCP)], 1),
        ("", "HTTP", [(HTTP_MATCH, "routes old.example:8000"), (ELSE, OLD_TCP)], 1),
        ("", "TCP", [(HTTP_MATCH, "routes old.example:8000"), (ELSE, OLD_TCP)], 1),
        ("", "", [(HTTP_MATCH, "routes old.example:8000"), (ELSE, OLD_TCP)], 1),
    ],
)
def test_two_services_on_one_bound_address(first: str, second: str, chains: Any, warned: int) -> None:
    found = pair(first, second, INTERCEPTION_MODE="NONE")
    assert found.chains(LOCAL) == chains
    assert len(found.warnings) == warned


def test_a_service_that_is_left_out_is_named_each_time() -> None:
    found = sent(
        service("a.example", 8000, "TCP", age=3),
        service("b.example", 8000, "HTTP", age=2),
        service("c.example", 8000, "HTTP", age=1),
        INTERCEPTION_MODE="NONE",
    )
    assert found.chains(LOCAL) == [({}, "outbound|8000||a.example")]
    assert [warning.split()[5] for warning in found.warnings] == ["b.example", "c.example"]


@pytest.mark.parametrize("protocol", ["Mongo", "MySQL"])
@pytest.mark.parametrize("other", ["HTTP", "TCP", ""])
def test_protocols_whose_servers_speak_first_share_with_none(protocol: str, other: str) -> None:
    first = pair(protocol, other)
    assert first.chains(ANY) == [({}, OLD_TCP)]
    assert first.filters(ANY) == []
    assert "new.example" in first.warnings[0]
    second = pair(other, protocol)
    assert NEW_TCP not in [to for _, to in second.chains(ANY)]
    assert "new.example" in second.warnings[0]


def test_two_of_one_such_protocol_conflict_as_any_tcp_does() -> None:
    found = pair("Mongo", "Mongo")
    assert found.chains(ANY) == [({}, OLD_TCP)]
    filters = [each["name"] for each in found.listeners[ANY]["filter_chains"][0]["filters"]]
    assert filters == ["envoy.filters.network.mongo_proxy", "envoy.filters.network.tcp_proxy"]


def test_the_older_service_wins_whatever_the_order_of_the_documents() -> None:
    found = sent(service("b.example", 8000, "TCP", age=1), service("a.example", 8000, "TCP", age=5))
    assert found.chains(ANY) == [({}, "outbound|8000||a.example")]


def test_addresses_keep_services_apart() -> None:
    found = sent(
        service("a.example", 8000, "TCP", address="10.1.0.1"),
        service("b.example", 8000, "TCP", address="10.1.0.2"),
        service("c.example", 8000, "", address="10.1.0.3"),
    )
    assert found.chains("10.1.0.1_8000") == [({}, "outbound|8000||a.example")]
    assert found.chains("10.1.0.2_8000") == [({}, "outbound|8000||b.example")]
    assert found.chains("10.1.0.3_8000") == [
        (HTTP_MATCH, "routes c.example:8000"),
        (ELSE, "outbound|8000||c.example"),
    ]
    assert found.warnings == ()


def test_ranges_share_the_wildcard_listener() -> None:
    found = sent(
        service("a.example", 8000, "TCP", address="10.1.0.0/24", resolution="NONE"),
        service("b.example", 8000, "TCP", address="10.2.0.0/16", resolution="NONE"),
    )
    assert found.chains(ANY) == [
        ({"prefix_ranges": [{"address_prefix": "10.1.0.0", "prefix_len": 24}]}, "outbound|8000||a.example"),
        ({"prefix_ranges": [{"address_prefix": "10.2.0.0", "prefix_len": 16}]}, "outbound|8000||b.example"),
        (ELSE, "PassthroughCluster"),
    ]


def test_a_range_beside_an_older_http_service_is_called_by_http_alone() -> None:
    found = sent(
        service("old.example", 8000, "HTTP", age=2),
        service("new.example", 8000, "", address="10.1.0.0/24", resolution="NONE"),
    )
    assert found.chains(ANY) == [(HTTP_MATCH, "routes 8000"), (ELSE, "PassthroughCluster")]
    assert "HTTP apart" in found.warnings[0]


def test_a_range_of_one_address_is_an_address() -> None:
    found = sent(service("a.example", 8000, "TCP", address="10.1.0.9/32", resolution="NONE"))
    assert found.chains("10.1.0.9_8000") == [({}, "outbound|8000||a.example")]


def test_registry_only_ends_the_rest_in_a_black_hole() -> None:
    found = sent(
        service("a.example", 8000, "HTTP"), mesh={"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
    )
    assert found.chains(ANY) == [(HTTP_MATCH, "routes 8000"), (ELSE, "BlackHoleCluster")]


def test_an_egress_proxy_takes_the_rest() -> None:
    found = sent(
        service("out.example", 3128, "TCP", address="10.1.0.1"),
        service("a.example", 8000, "HTTP"),
        document(
            "Sidecar",
            "default",
            {
                "egress": [{"hosts": ["*/*"]}],
                "outboundTrafficPolicy": {
                    "mode": "ALLOW_ANY",
                    "egressProxy": {"host": "out.example", "port": {"number": 3128}},
                },
            },
        ),
    )
    assert found.chains(ANY)[-1] == (ELSE, "outbound|3128||out.example")
    assert found.chains("virtualOutbound")[-1] == ({}, "outbound|3128||out.example")


def test_udp_gets_no_listener() -> None:
    found = sent(service("a.example", 8000, "UDP"))
    assert set(found.listeners) == {"virtualOutbound", "virtualInbound"}


def test_tcp_services_that_are_told_apart_leave_room_for_a_detected_one() -> None:
    found = sent(
        service("a.example", 8000, "TCP", address="10.1.0.0/16", resolution="NONE", endpoints=(), age=3),
        service("b.example", 8000, "TCP", address="10.2.0.0/16", resolution="NONE", endpoints=(), age=2),
        service("c.example", 8000, "", age=1),
    )
    block = {"address_prefix": "10.1.0.0", "prefix_len": 16}
    other = {"address_prefix": "10.2.0.0", "prefix_len": 16}
    assert found.chains(ANY) == [
        ({"prefix_ranges": [block]}, "outbound|8000||a.example"),
        ({"prefix_ranges": [other]}, "outbound|8000||b.example"),
        (HTTP_MATCH, "routes 8000"),
        (ELSE, "outbound|8000||c.example"),
    ]
    assert found.warnings == ()


def test_a_subnet_may_be_written_by_one_of_its_addresses() -> None:
    found = sent(
        service("a.example", 8000, "TCP"),
        rule(
            "a.example",
            tcp=[{"match": [{"destinationSubnets": ["10.1.2.3/8"]}], "route": [to("b.example", port=1)]}],
        ),
    )
    match, target = found.chains(ANY)[0]
    assert match == {"prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}
    assert target == "outbound|1||b.example"


def test_subnets_are_the_same_however_they_are_written() -> None:
    def subnet(host: str, text: str, age: int) -> list[dict[str, Any]]:
        match = [{"destinationSubnets": [text]}]
        return [
            service(host, 8000, "TCP", age=age),
            rule(host, age=age, tcp=[{"match": match, "route": [to(host)]}]),
        ]

    same = sent(*subnet("a.example", "10.1.2.3/8", 2), *subnet("b.example", "10.0.0.0/8", 1))
    assert [target for _, target in same.chains(ANY)] == ["outbound|8000||a.example"] * 2
    assert len(same.warnings) == 1
    other = sent(*subnet("a.example", "10.1.2.3/8", 2), *subnet("b.example", "11.0.0.1/8", 1))
    assert {target for _, target in other.chains(ANY)} == {
        "outbound|8000||a.example",
        "outbound|8000||b.example",
    }


@pytest.mark.parametrize(("second", "apart"), [("TCP", False), ("", True)])
def test_a_warning_says_whether_http_is_reachable_all_the_same(second: str, apart: bool) -> None:
    (warning,) = pair("TCP", second).warnings
    assert ("takes the same connections, HTTP apart" in warning) is apart


def test_http_has_its_routes_where_tcp_and_a_detected_service_are_already() -> None:
    found = sent(
        service("a.example", 8000, "TCP", age=3),
        service("b.example", 8000, "", age=2),
        service("c.example", 8000, "HTTP", age=1),
    )
    assert found.chains(ANY) == [(HTTP_MATCH, "routes 8000"), (ELSE, "outbound|8000||a.example")]
    assert [warning.split()[5] for warning in found.warnings] == ["b.example"]
