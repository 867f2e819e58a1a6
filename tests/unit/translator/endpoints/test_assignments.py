"""Load assignments: which endpoints a cluster has, where they are, and which come first."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.service import EndpointPool, Locality
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.endpoints.assignments import empty_load_assignment
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from tests.unit.translator.clusters.cluster_scenes import HOST, Scene, contains, endpoint, plain, service

NEAR = Locality("eu", "eu-1", "a")
PLACES = {
    "10.0.0.1": NEAR,
    "10.0.0.2": Locality("eu", "eu-1", "b"),
    "10.0.0.3": Locality("eu", "eu-2", "c"),
    "10.0.0.4": Locality("us", "us-1", "d"),
    "10.0.0.5": Locality("asia", "asia-1", "e"),
}


def addresses(assignment: dict[str, Any]) -> list[str]:
    return [
        each["endpoint"]["address"]["socket_address"]["address"]
        for group in assignment.get("endpoints", ())
        for each in group["lb_endpoints"]
    ]


def priorities(assignment: dict[str, Any]) -> dict[str, int]:
    """Address -> priority."""
    return {
        each["endpoint"]["address"]["socket_address"]["address"]: group.get("priority", 0)
        for group in assignment["endpoints"]
        for each in group["lb_endpoints"]
    }


def weights(assignment: dict[str, Any]) -> dict[str, int]:
    """First address of each group -> the group's weight."""
    return {
        group["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"]: group[
            "load_balancing_weight"
        ]
        for group in assignment["endpoints"]
    }


def around_the_world(**more: Any) -> Scene:
    found = [endpoint(address, locality=place, **more) for address, place in PLACES.items()]
    return Scene(endpoints=found).seen_by(locality=NEAR)


def test_an_endpoint_in_envoys_words() -> None:
    one = endpoint(
        "10.0.0.1",
        weight=3,
        namespace="default",
        workload_name="reviews-v1",
        cluster_id="east",
        labels={"app": "reviews", "version": "v1"},
        tls_mode="istio",
        locality=NEAR,
    )

    assert Scene(endpoints=[one]).assignment() == yaml.safe_load("""
        cluster_name: outbound|80||reviews.example
        endpoints:
        - locality: {region: eu, zone: eu-1, sub_zone: a}
          load_balancing_weight: 3
          lb_endpoints:
          - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 8080}}}
            load_balancing_weight: 3
            metadata:
              filter_metadata:
                istio: {workload: reviews-v1;default;reviews;v1;east}
                envoy.transport_socket_match: {tlsMode: istio}
    """)


def test_without_endpoints_only_the_name_is_said() -> None:
    assert Scene().assignment() == {"cluster_name": f"outbound|80||{HOST}"}
    assert plain(empty_load_assignment("outbound|1||x")) == {"cluster_name": "outbound|1||x"}


def test_subsets_have_the_endpoints_with_their_labels() -> None:
    pool = [
        endpoint("10.0.0.1", labels={"version": "v1", "app": "a"}),
        endpoint("10.0.0.2", labels={"version": "v2"}),
    ]
    scene = Scene(endpoints=pool).ruled("subsets: [{name: v1, labels: {version: v1}}, {name: all}]")

    assert addresses(scene.assignment("v1")) == ["10.0.0.1"]
    assert addresses(scene.assignment("all")) == addresses(scene.assignment()) == ["10.0.0.1", "10.0.0.2"]


OUTLIER = "outlierDetection: {}"


def locality(setting: str, outlier: str = OUTLIER) -> str:
    return f"trafficPolicy: {{{outlier}, loadBalancer: {{localityLbSetting: {setting}}}}}"


def test_without_outlier_detection_nobody_is_preferred() -> None:
    scene = around_the_world()

    assert set(priorities(scene.assignment()).values()) == {0}
    assert "locality_weighted_lb_config" not in scene.cluster()["common_lb_config"]


def test_with_it_the_nearer_are_preferred() -> None:
    scene = around_the_world().ruled(f"trafficPolicy: {{{OUTLIER}}}")

    assert list(priorities(scene.assignment()).values()) == [3, 0, 1, 2, 3]
    assert priorities(scene.assignment())["10.0.0.1"] == 0
    assert "locality_weighted_lb_config" not in scene.cluster()["common_lb_config"]


def test_failover_names_the_region_that_takes_over() -> None:
    scene = around_the_world().ruled(locality("{failover: [{from: eu, to: us}]}"))

    assert priorities(scene.assignment()) == {
        "10.0.0.1": 0,
        "10.0.0.2": 1,
        "10.0.0.3": 2,
        "10.0.0.4": 3,
        "10.0.0.5": 4,
    }
    assert scene.cluster()["common_lb_config"]["locality_weighted_lb_config"] == {}


def test_priorities_have_no_gaps() -> None:
    far = {address: PLACES[address] for address in ("10.0.0.3", "10.0.0.5")}
    pool = [endpoint(address, locality=place) for address, place in far.items()]
    scene = Scene(endpoints=pool).seen_by(locality=NEAR).ruled(f"trafficPolicy: {{{OUTLIER}}}")

    assert priorities(scene.assignment()) == {"10.0.0.3": 0, "10.0.0.5": 1}


def test_a_rule_or_the_mesh_may_switch_it_off() -> None:
    off = around_the_world().ruled(locality("{enabled: false}"))
    mesh_off = (
        around_the_world()
        .meshed("localityLbSetting: {enabled: false}")
        .ruled(f"trafficPolicy: {{{OUTLIER}}}")
    )

    for scene in (off, mesh_off):
        assert set(priorities(scene.assignment()).values()) == {0}


def test_distribute_shares_the_traffic_and_drops_the_rest() -> None:
    scene = around_the_world(weight=2).ruled(
        locality(
            "{distribute: [{from: us/*, to: {us/*: 100}}, {from: eu/eu-1/*, to: {eu/*: 80, us/us-1: 20}}]}",
            "",
        ).replace("{,", "{")
    )

    # Three localities of eu share 80 by their weights, rounded up.
    assert weights(scene.assignment()) == {"10.0.0.1": 27, "10.0.0.2": 27, "10.0.0.3": 27, "10.0.0.4": 20}
    assert scene.cluster()["common_lb_config"]["locality_weighted_lb_config"] == {}


def test_the_narrower_destination_takes_its_endpoints_first() -> None:
    scene = around_the_world().ruled(
        locality("{distribute: [{from: eu, to: {'*': 10, eu/eu-1/a: 90}}]}", "").replace("{,", "{")
    )

    assert weights(scene.assignment())["10.0.0.1"] == 90


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 2, 3, 2**31, 2**32 - 2, 2**32 - 1]),
            st.sampled_from(list(PLACES.values())),
            st.sampled_from(["v1", "v2"]),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["", "{failoverPriority: [version]}", "{failover: [{from: eu, to: us}]}"]),
)
def test_weights_are_shares_where_a_sum_is_more_than_envoy_takes(
    drawn: list[tuple[int, Locality, str]], setting: str
) -> None:
    """Envoy adds the weights of a priority: those of its localities, and those of all their endpoints."""
    pool = [
        endpoint(f"10.0.0.{number}", weight=weight, locality=place, labels={"version": version})
        for number, (weight, place, version) in enumerate(drawn)
    ]
    scene = Scene(endpoints=pool).seen_by(locality=NEAR, labels=(("version", "v1"),))
    asked = {f"10.0.0.{number}": weight or 1 for number, (weight, _, _) in enumerate(drawn)}

    groups = (scene.ruled(locality(setting)) if setting else scene).assignment()["endpoints"]

    for priority in {group.get("priority", 0) for group in groups}:
        level = [group for group in groups if group.get("priority", 0) == priority]
        assert sum(group["load_balancing_weight"] for group in level) < 2**32
        members = [each for group in level for each in group["lb_endpoints"]]
        shares = [each["load_balancing_weight"] for each in members]
        wanted = [asked[each["endpoint"]["address"]["socket_address"]["address"]] for each in members]
        scale = min(1.0, (2**32 - 1) / sum(wanted))
        assert sum(shares) < 2**32
        assert shares == [pytest.approx(max(1.0, each * scale), rel=1e-8, abs=0.5) for each in wanted]


def test_failover_by_labels_splits_a_locality() -> None:
    pool = [
        endpoint("10.0.0.1", labels={"version": "v1", "tier": "a"}),
        endpoint("10.0.0.2", labels={"version": "v1", "tier": "b"}),
        endpoint("10.0.0.3", labels={"version": "v2", "tier": "a"}),
    ]
    scene = (
        Scene(endpoints=pool)
        .seen_by(labels=(("version", "v1"), ("tier", "x")))
        .ruled(locality("{failoverPriority: [version, tier=a]}"))
    )

    assert priorities(scene.assignment()) == {"10.0.0.1": 0, "10.0.0.2": 1, "10.0.0.3": 2}
    assert scene.cluster()["common_lb_config"]["locality_weighted_lb_config"] == {}


def test_a_label_that_neither_has_is_one_in_common() -> None:
    """Istio compares them if the proxy has any label, whichever it is."""
    pool = [endpoint("10.0.0.1", labels={"version": "v1"}), endpoint("10.0.0.2")]
    scene = Scene(endpoints=pool).ruled(locality("{failoverPriority: [version]}"))

    assert priorities(scene.seen_by(is_labelled=True).assignment()) == {"10.0.0.1": 1, "10.0.0.2": 0}
    assert priorities(scene.seen_by().assignment()) == {"10.0.0.1": 0, "10.0.0.2": 0}


def test_another_network_is_worse_than_any_other_label() -> None:
    network = "topology.istio.io/network"
    pool = [
        endpoint("10.0.0.1", labels={network: "east", "zone": "z2"}),
        endpoint("10.0.0.2", labels={network: "west", "zone": "z1"}),
        endpoint("10.0.0.3", labels={network: "west", "zone": "z2"}),
    ]
    scene = (
        Scene(endpoints=pool)
        .seen_by(network="east", labels=(("zone", "z1"),))
        .ruled(locality(f"{{failoverPriority: [{network}, zone]}}"))
    )

    assert priorities(scene.assignment()) == {"10.0.0.1": 0, "10.0.0.2": 1, "10.0.0.3": 2}


def test_traffic_distribution_asks_for_no_outlier_detection() -> None:
    zone = "topology.kubernetes.io/zone"
    pool = [endpoint("10.0.0.1", labels={zone: "z2"}), endpoint("10.0.0.2", labels={zone: "z1"})]
    scene = Scene(service(traffic_distribution="PreferClose"), pool).seen_by(locality=Locality("", "z1"))

    assert priorities(scene.assignment()) == {"10.0.0.1": 1, "10.0.0.2": 0}


@pytest.mark.parametrize(("labels", "of_us"), [({"app": "client"}, 1), ({}, 0)])
def test_traffic_distribution_compares_what_a_client_lacks(labels: dict[str, str], of_us: int) -> None:
    """A client with some label, but neither locality nor network, has an endpoint without a locality in
    common. Istio compares nothing for clients without labels."""
    documents = """
    apiVersion: networking.istio.io/v1
    kind: ServiceEntry
    metadata: {name: a, annotations: {networking.istio.io/traffic-distribution: PreferClose}}
    spec:
      hosts: [a.example]
      ports: [{name: http, number: 80, protocol: HTTP}]
      resolution: STATIC
      endpoints: [{address: 10.0.0.1, locality: us/us-1}, {address: 10.0.0.2}]
    """
    store = ConfigStore()
    store.apply({"a.yaml": parse_documents(documents.encode(), "a.yaml")})
    proxy = Proxy.from_node({"id": "sidecar~10.9.9.9~a.b~b.c", "metadata": {"LABELS": labels}})
    found = Translation(Mesh.build(store.configs())).resource(
        proxy, type_urls.ENDPOINT, "outbound|80||a.example"
    )
    assert found is not None
    assert priorities(plain(found)) == {
        "10.0.0.1": of_us,
        "10.0.0.2": 0,
    }


def test_traffic_distribution_knows_nodes() -> None:
    node = "kubernetes.io/hostname"
    pool = [endpoint("10.0.0.1", labels={node: "n2"}), endpoint("10.0.0.2", labels={node: "n1"})]
    scene = Scene(service(traffic_distribution="PreferSameNode"), pool).seen_by(node_name="n1")

    assert priorities(scene.assignment()) == {"10.0.0.1": 1, "10.0.0.2": 0}


def test_zone_aware_routing_leaves_the_zone_to_envoy() -> None:
    scene = around_the_world().ruled(
        "trafficPolicy: {loadBalancer: {zoneAwareLbSetting:"
        " {minClusterSize: 3, failover: [{from: eu, to: us}]}}}"
    )

    assert priorities(scene.assignment()) == {
        "10.0.0.1": 0,
        "10.0.0.2": 0,
        "10.0.0.3": 0,
        "10.0.0.4": 1,
        "10.0.0.5": 2,
    }
    assert contains(
        scene.cluster(), {"common_lb_config": {"zone_aware_lb_config": {"min_cluster_size": "3"}}}
    )


def test_zone_awareness_can_be_switched_off() -> None:
    scene = around_the_world().ruled("trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {enabled: false}}}")

    assert scene.cluster()["common_lb_config"]["zone_aware_lb_config"] == {"routing_enabled": {}}


def test_inline_endpoints_have_their_priorities_too() -> None:
    pool = [endpoint(f"{n}.example", locality=place) for n, place in enumerate(PLACES.values())]
    scene = Scene(service("DNS"), pool).seen_by(locality=NEAR).ruled(f"trafficPolicy: {{{OUTLIER}}}")

    assert set(priorities(scene.cluster()["load_assignment"]).values()) == {0, 1, 2, 3}


def test_proxies_share_what_does_not_depend_on_where_they_are() -> None:
    memo, pool = Memo(), EndpointPool((endpoint("10.0.0.1", locality=NEAR),))

    def made(scene: Scene, place: Locality) -> object:
        return scene.seen_by(locality=place, namespace=place.region).made(pool, memo).assignments

    plain_scene = Scene()
    ruled = plain_scene.ruled(f"trafficPolicy: {{{OUTLIER}}}")

    near, far = made(plain_scene, NEAR), made(plain_scene, Locality("us"))
    assert near is far
    near, far = made(ruled, NEAR), made(ruled, Locality("us"))
    assert near is not far


SCENES = st.lists(
    st.tuples(st.sampled_from(sorted(PLACES)), st.integers(1, 9), st.sampled_from(["v1", "v2"])), max_size=12
)


@given(SCENES)
def test_nobody_is_lost_and_priorities_start_at_zero(drawn: list[tuple[str, int, str]]) -> None:
    pool = [
        endpoint(f"10.1.0.{n}", locality=PLACES[place], weight=weight, labels={"version": version})
        for n, (place, weight, version) in enumerate(drawn)
    ]
    scene = Scene(endpoints=pool).seen_by(locality=NEAR, labels=(("version", "v1"),))

    for setting in (
        "{}",
        "{failoverPriority: [version]}",
        "{failover: [{from: eu, to: us}], failoverPriority: [version]}",
    ):
        made = scene.ruled(locality(setting)).assignment()
        levels = {group.get("priority", 0) for group in made.get("endpoints", ())}
        assert sorted(addresses(made)) == sorted(each.address for each in pool)
        assert levels == set(range(len(levels)))
        assert sum(group["load_balancing_weight"] for group in made.get("endpoints", ())) == sum(
            each.weight for each in pool
        )


def test_labels_weigh_more_than_any_place() -> None:
    pool = [
        endpoint("10.0.0.1", locality=NEAR, labels={"version": "v1"}),
        endpoint("10.0.0.2", locality=PLACES["10.0.0.4"], labels={"version": "v1"}),
        endpoint("10.0.0.3", locality=PLACES["10.0.0.5"], labels={"version": "v1"}),
        endpoint("10.0.0.4", locality=NEAR, labels={"version": "v2"}),
        endpoint("10.0.0.5", locality=PLACES["10.0.0.5"], labels={"version": "v2"}),
    ]
    scene = (
        Scene(endpoints=pool)
        .seen_by(locality=NEAR, labels=(("version", "v1"),))
        .ruled(locality("{failoverPriority: [version], failover: [{from: eu, to: us}]}"))
    )

    assert priorities(scene.assignment()) == {
        "10.0.0.1": 0,
        "10.0.0.2": 1,
        "10.0.0.3": 2,
        "10.0.0.4": 3,
        "10.0.0.5": 4,
    }


def test_distribute_may_be_for_clients_and_endpoints_of_any_place() -> None:
    def distributed(source: str, to: str) -> list[str]:
        entry = f"{{from: '{source}', to: {{'{to}': 100}}}}"
        scene = around_the_world().ruled(
            f"trafficPolicy: {{loadBalancer: {{localityLbSetting: {{distribute: [{entry}]}}}}}}"
        )
        return sorted(addresses(scene.assignment()))

    assert distributed("*", "*") == sorted(PLACES)
    assert distributed("*", "us/*") == ["10.0.0.4"]
    assert distributed("eu/*", "eu/eu-1/*") == ["10.0.0.1", "10.0.0.2"]
    assert distributed("eu/eu-1/a", "*/*/c") == ["10.0.0.3"]
    # A place that the client is not at leaves all as it is.
    assert distributed("us/*", "asia/*") == sorted(PLACES)
