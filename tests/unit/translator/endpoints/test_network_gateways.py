"""Endpoints on other networks, and endpoints with addresses of both families."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.mesh.service import Endpoint, HealthStatus, Locality, ServicePort
from mizzen.translator.base.memo import Memo
from tests.unit.translator.clusters.cluster_scenes import Scene, endpoint, plain, service

MUTUAL = "trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}"
NETWORKS = """
meshNetworks:
  networks:
    east: {gateways: [{address: 192.0.2.1, port: 15443}]}
    west: {gateways: [{address: 192.0.2.21, port: 15443}, {address: 192.0.2.22, port: 15444}]}
    north: {endpoints: [{fromCidr: 10.3.0.0/16}]}
    south: {gateways: [{address: south.example.com, port: 15443}]}
"""
EU, US = Locality("eu"), Locality("us")


def on(network: str, address: str, **more: Any) -> Endpoint:
    return endpoint(address, **{"network": network, "tls_mode": "istio", **more})


def seen(scene: Scene, network: str = "east", mesh: str = NETWORKS, rule: str = MUTUAL) -> Scene:
    """The scene as a client on `network` sees it, with mutual TLS asked for."""
    scene = scene.meshed(mesh).seen_by(network=network)
    return scene.ruled(rule) if rule else scene


def weights(assignment: dict[str, Any]) -> Counter[str]:
    """The weight of each address."""
    found: Counter[str] = Counter()
    for group in assignment.get("endpoints", ()):
        for each in group["lb_endpoints"]:
            socket = each["endpoint"]["address"]["socket_address"]
            found[f"{socket['address']}:{socket['port_value']}"] += each["load_balancing_weight"]
    return found


WEST = [on("west", "10.2.0.1", weight=3), on("west", "10.2.0.2")]


def test_gateways_stand_in_for_endpoints_of_another_network() -> None:
    scene = seen(Scene(endpoints=[on("east", "10.1.0.1", weight=5), *WEST]))
    assert weights(scene.assignment()) == {
        "10.1.0.1:8080": 10,
        "192.0.2.21:15443": 4,
        "192.0.2.22:15444": 4,
    }


def test_a_gateway_in_envoys_words() -> None:
    scene = seen(Scene(endpoints=WEST[:1]))
    (group,) = scene.assignment()["endpoints"]
    assert group["load_balancing_weight"] == 6
    assert group["lb_endpoints"][0] == {
        "endpoint": {"address": {"socket_address": {"address": "192.0.2.21", "port_value": 15443}}},
        "load_balancing_weight": 3,
        "metadata": {
            "filter_metadata": {
                "envoy.transport_socket_match": {"tlsMode": "istio"},
                "istio": {"workload": ";;;;"},
            }
        },
    }


def test_from_the_other_side() -> None:
    scene = seen(Scene(endpoints=[on("east", "10.1.0.1"), *WEST]), network="west")
    assert weights(scene.assignment()) == {"192.0.2.1:15443": 2, "10.2.0.1:8080": 6, "10.2.0.2:8080": 2}


@pytest.mark.parametrize(
    ("client", "network"),
    [("", "west"), ("east", ""), ("east", "east"), ("east", "north"), ("east", "elsewhere")],
)
def test_what_is_called_directly(client: str, network: str) -> None:
    """Either network is unknown, or both are one, or no gateway leads there."""
    scene = seen(Scene(endpoints=[on(network, "10.9.0.1")]), network=client)
    assert weights(scene.assignment()) == {"10.9.0.1:8080": 2}


def test_without_gateways_weights_are_as_written() -> None:
    scene = seen(Scene(endpoints=WEST), mesh="meshNetworks: {networks: {west: {}}}")
    assert weights(scene.assignment()) == {"10.2.0.1:8080": 3, "10.2.0.2:8080": 1}


@pytest.mark.parametrize(
    ("mode", "mesh", "rule", "external", "crosses"),
    [
        ("istio", "", MUTUAL, False, True),
        ("istio", "", MUTUAL, True, True),
        ("istio", "", "", False, False),
        ("istio", "", "trafficPolicy: {tls: {mode: DISABLE}}", False, False),
        ("istio", "", "trafficPolicy: {tls: {mode: SIMPLE}}", False, False),
        ("disabled", "", MUTUAL, False, False),
        ("istio", "enableAutoMtls: true", "", False, True),
        ("istio", "enableAutoMtls: true", "", True, False),
        ("disabled", "enableAutoMtls: true", "", False, False),
        ("istio", "enableAutoMtls: true", "trafficPolicy: {tls: {mode: DISABLE}}", False, False),
        (
            "istio",
            "",
            "trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: ISTIO_MUTUAL}}]}",
            False,
            True,
        ),
    ],
)
def test_only_mutual_tls_crosses(mode: str, mesh: str, rule: str, external: bool, crosses: bool) -> None:
    own = service(mesh_external=external)
    found = [on("east", "10.1.0.1"), on("west", "10.2.0.1", tls_mode=mode)]
    scene = seen(Scene(own, found), mesh=f"{NETWORKS}\n{mesh}\n", rule=rule)
    expected = {"10.1.0.1:8080": 2}
    if crosses:
        expected |= {"192.0.2.21:15443": 1, "192.0.2.22:15444": 1}
    assert weights(scene.assignment()) == expected


def test_a_service_of_which_nothing_can_be_reached() -> None:
    scene = seen(Scene(endpoints=WEST), rule="")
    assert scene.assignment() == {"cluster_name": "outbound|80||reviews.example"}


def test_only_the_endpoints_of_a_subset_weigh() -> None:
    found = [on("west", "10.2.0.1", labels={"v": "1"}, weight=3), on("west", "10.2.0.2", labels={"v": "2"})]
    scene = seen(Scene(endpoints=found), rule=f"{MUTUAL}\nsubsets: [{{name: v1, labels: {{v: '1'}}}}]")
    assert weights(scene.assignment("v1")) == {"192.0.2.21:15443": 3, "192.0.2.22:15444": 3}


def test_an_endpoint_known_by_its_network_alone() -> None:
    found = [on("west", ""), on("north", ""), on("east", "")]
    assert weights(seen(Scene(endpoints=found)).assignment()) == {
        "192.0.2.21:15443": 1,
        "192.0.2.22:15444": 1,
    }
    assert weights(Scene(endpoints=found).assignment()) == {}


def test_endpoints_that_take_no_traffic_weigh_nothing() -> None:
    found = [WEST[0], on("west", "10.2.0.9", health=HealthStatus.TERMINATING)]
    assert weights(seen(Scene(endpoints=found)).assignment()) == {
        "192.0.2.21:15443": 3,
        "192.0.2.22:15444": 3,
    }


def test_gateways_that_are_names_serve_clusters_that_resolve_names() -> None:
    static = seen(Scene(endpoints=[on("south", "10.4.0.1")]))
    assert weights(static.assignment()) == {"10.4.0.1:8080": 2}
    resolved = seen(Scene(service("DNS"), [on("south", "cart.example.com"), on("east", "own.example.com")]))
    assert weights(resolved.cluster()["load_assignment"]) == {
        "south.example.com:15443": 2,
        "own.example.com:8080": 2,
    }


def test_a_name_resolved_for_the_whole_cluster_has_one_gateway() -> None:
    scene = seen(Scene(service("DNS_ROUND_ROBIN"), [on("west", "cart.example.com")]))
    assert weights(scene.cluster()["load_assignment"]) == {"192.0.2.21:15443": 1}
    unreachable = seen(Scene(service("DNS_ROUND_ROBIN"), [on("west", "cart.example.com")]), rule="")
    assert unreachable.clusters() == {}


def test_each_locality_has_the_gateways_of_what_is_in_it() -> None:
    found = [
        on("west", "10.2.0.1", locality=EU),
        on("west", "10.2.0.2", locality=US),
        on("east", "10.1.0.1", locality=US),
    ]
    scene = seen(
        Scene(endpoints=found).seen_by(locality=EU),
        rule="trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, outlierDetection: {}}",
    )
    groups = scene.assignment()["endpoints"]
    assert [
        (group["locality"]["region"], group.get("priority", 0), group["load_balancing_weight"])
        for group in groups
    ] == [("eu", 0, 2), ("us", 1, 4)]


def test_the_network_may_come_first_in_failover() -> None:
    rule = """
        trafficPolicy:
          tls: {mode: ISTIO_MUTUAL}
          outlierDetection: {}
          loadBalancer: {localityLbSetting: {failoverPriority: [topology.istio.io/network]}}
    """
    labels = {"topology.istio.io/network": "east"}
    scene = seen(Scene(endpoints=[*WEST, on("east", "10.1.0.1", labels=labels)]), rule=rule)
    groups = scene.assignment()["endpoints"]
    assert {group.get("priority", 0): len(group["lb_endpoints"]) for group in groups} == {0: 1, 1: 2}


def test_a_gateway_passes_on_to_what_is_near_it() -> None:
    """A cluster of an AUTO_PASSTHROUGH gateway: no rule is needed for what is encrypted already."""
    found = [on("east", "10.1.0.1"), on("west", "10.2.0.1"), on("west", "10.2.0.2", tls_mode="disabled")]
    scene = seen(Scene(endpoints=found).seen_by(type="router"), network="west", rule="")
    (assignment,) = [plain(each) for each in scene.raw_assignments(sni_dnat=True)]
    assert weights(assignment) == {"192.0.2.1:15443": 2, "10.2.0.1:8080": 2}


def test_heavy_endpoints_keep_their_shares_behind_gateways() -> None:
    """Envoy takes no higher sum than 2**32 - 1: two gateways stand for two of three equal endpoints."""
    found = [
        on("east", "10.1.0.1", weight=2**32 - 1),
        on("west", "10.2.0.1", weight=2**32 - 1),
        on("west", "10.2.0.2", weight=2**32 - 1),
    ]
    (group,) = seen(Scene(endpoints=found)).assignment()["endpoints"]
    third = pytest.approx(2**32 / 3)
    assert weights({"endpoints": [group]}) == {
        "10.1.0.1:8080": third,
        "192.0.2.21:15443": third,
        "192.0.2.22:15444": third,
    }
    assert group["load_balancing_weight"] == pytest.approx(2**32)


@given(
    st.dictionaries(st.sampled_from(["east", "west", "north"]), st.integers(0, 5)),
    st.lists(
        st.tuples(
            st.sampled_from(["east", "west", "north", ""]), st.integers(0, 9), st.sampled_from([EU, US])
        ),
        max_size=6,
    ),
    st.sampled_from(["", "east", "west"]),
)
def test_no_weight_is_lost_or_made(
    gateways: dict[str, int], drawn: list[tuple[str, int, Locality]], client: str
) -> None:
    networks = {
        name: {
            "gateways": [
                {"address": f"192.0.2.{number + 1}", "port": ord(name[0])} for number in range(count)
            ]
        }
        for name, count in gateways.items()
    }
    found = [
        on(network, f"10.0.0.{index}", weight=weight, locality=place)
        for index, (network, weight, place) in enumerate(drawn)
    ]
    plain_weights = weights(Scene(endpoints=found).ruled(MUTUAL).assignment())
    scene = seen(Scene(endpoints=found), network=client, mesh=str({"meshNetworks": {"networks": networks}}))
    table = scene.mesh.mesh_networks.table
    reached = weights(scene.assignment())
    assert sum(reached.values()) == table.scale() * sum(plain_weights.values())
    for network, leading in table.gateways().items():
        shares = {reached[f"{gateway.address}:{gateway.port}"] for gateway in leading}
        assert len(shares) == 1
        behind = sum(each.weight or 1 for each in found if each.network == network)
        crossed = client not in ("", network)
        assert shares == {behind * table.scale() // len(leading) if crossed else 0}


def test_what_depends_on_the_network_is_not_shared() -> None:
    scene = seen(Scene(endpoints=WEST))
    plain_scene = scene.meshed("{}")
    pool, memo = scene.pool, Memo()
    one, other = (each.made(pool, memo).assignments for each in (scene, seen(scene, "west")))
    assert one is not other
    sides = (plain_scene, plain_scene.seen_by(network="west"))
    one, other = (each.made(pool, memo).assignments for each in sides)
    assert one is other


def test_names_in_a_cluster_depend_on_the_network_too() -> None:
    scene = seen(Scene(service("DNS"), [on("west", "cart.example.com")]))
    sides, memo = (scene, seen(scene, "west")), Memo()
    assert len({str(each.cluster()["load_assignment"]) for each in sides}) == 2
    one, other = (each.made(scene.pool, memo).all_clusters for each in sides)
    assert one[0].version != other[0].version


BOTH = ("10.0.0.1", "2001:db8::1")


def socket_addresses(assignment: dict[str, Any]) -> list[list[str]]:
    """The addresses of each endpoint, the one that comes first in front."""
    return [
        [
            each["socket_address"]["address"]
            for each in (
                one["endpoint"]["address"],
                *(more["address"] for more in one["endpoint"].get("additional_addresses", ())),
            )
        ]
        for group in assignment["endpoints"]
        for one in group["lb_endpoints"]
    ]


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("V4_ONLY", [["10.0.0.1"], ["2001:db8::1"], ["10.0.0.2"]]),
        ("ALL", [["10.0.0.1"], ["2001:db8::1"], ["10.0.0.2"]]),
        ("DUAL_STACK", [["10.0.0.1", "2001:db8::1"], ["10.0.0.2"]]),
    ],
)
def test_a_workload_of_both_families(family: str, expected: list[list[str]]) -> None:
    """It is listed once for each address; with dual stack it is one endpoint."""
    found = [*(endpoint(address, addresses=BOTH) for address in BOTH), endpoint("10.0.0.2")]
    assignment = Scene(endpoints=found).seen_by(ip_family=family).assignment()
    assert socket_addresses(assignment) == expected


def test_ports_of_one_workload_stay_apart() -> None:
    ports = (ServicePort("http", 80, service().ports[0].protocol),)
    found = [endpoint(address, addresses=BOTH, port=port) for address in BOTH for port in (8080, 8081)]
    assignment = Scene(service(ports=ports), found).seen_by(ip_family="DUAL_STACK").assignment()
    assert socket_addresses(assignment) == [list(BOTH), list(BOTH)]


@pytest.mark.parametrize(
    ("family", "lookup"),
    [("V4_ONLY", "V4_ONLY"), ("V6_ONLY", "V6_ONLY"), ("ALL", "V4_ONLY"), ("DUAL_STACK", "ALL")],
)
def test_names_are_resolved_in_the_families_of_the_proxy(family: str, lookup: str) -> None:
    scene = Scene(service("DNS"), [endpoint("a.example.com")]).seen_by(ip_family=family)
    cluster = scene.cluster()
    assert cluster["dns_lookup_family"] == lookup
