"""The route configurations of sidecars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import wrappers_pb2

from mizzen.config import ConfigChange
from mizzen.translator.routes.encoding import length_delimited

MeshOf = Callable[..., Any]

TWO_SERVICES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com]
  addresses: [10.1.0.1]
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 9000, name: detected}
  - {number: 5432, name: tcp, protocol: TCP}
  resolution: STATIC
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: cart, namespace: default}
spec:
  hosts: [cart.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
"""

SHOP_RULE = """
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com]
  http:
  - name: old
    match: [{uri: {prefix: /old}}]
    redirect: {uri: /new}
  - name: rest
    route: [{destination: {host: cart.example.com}}]
"""


def names(configuration: dict[str, Any]) -> list[str]:
    return [host["name"] for host in configuration.get("virtual_hosts", [])]


def routes(configuration: dict[str, Any], name: str) -> list[dict[str, Any]]:
    (host,) = [host for host in configuration["virtual_hosts"] if host["name"] == name]
    found: list[dict[str, Any]] = host["routes"]
    return found


def test_a_port_has_its_services_sorted_and_the_catch_all_last(routed: MeshOf) -> None:
    found = routed(TWO_SERVICES).sidecar("80")
    assert names(found) == ["cart.example.com:80", "shop.example.com:80", "allow_any"]
    assert {key: value for key, value in found.items() if key != "virtual_hosts"} == {
        "name": "80",
        "validate_clusters": False,
        "ignore_port_in_host_matching": True,
        "max_direct_response_body_size_bytes": 1048576,
    }
    cart = found["virtual_hosts"][0]
    assert cart["domains"] == ["cart.example.com", "cart.example.com."]
    assert cart["include_request_attempt_count"] is True
    (route,) = cart["routes"]
    assert route["name"] == "default"
    assert route["match"] == {"prefix": "/"}
    assert route["decorator"] == {"operation": "cart.example.com:80/*"}
    assert route["route"]["cluster"] == "outbound|80||cart.example.com"
    assert route["route"]["timeout"] == route["route"]["max_grpc_timeout"] == "0s"
    assert route["route"]["retry_policy"]["num_retries"] == 2


@pytest.mark.parametrize(
    ("mode", "name", "action"),
    [
        (
            "ALLOW_ANY",
            "allow_any",
            {"route": {"cluster": "PassthroughCluster", "timeout": "0s", "max_grpc_timeout": "0s"}},
        ),
        ("REGISTRY_ONLY", "block_all", {"direct_response": {"status": 502}}),
        (
            "ALLOW_ANY_DYNAMIC_DNS",
            "allow_any_dynamic_dns",
            {"route": {"cluster": "AllowAnyDynamicDNSCluster", "timeout": "0s", "max_grpc_timeout": "0s"}},
        ),
    ],
)
def test_the_catch_all_is_the_outbound_traffic_policy(
    routed: MeshOf, mode: str, name: str, action: dict[str, Any]
) -> None:
    found = routed(TWO_SERVICES, outboundTrafficPolicy={"mode": mode}).sidecar("80")
    assert found["virtual_hosts"][-1] == {
        "name": name,
        "domains": ["*"],
        "routes": [{"name": name, "match": {"prefix": "/"}, **action}],
        "include_request_attempt_count": True,
    }


def test_a_sidecars_egress_proxy_takes_what_nobody_declared(routed: MeshOf) -> None:
    text = (
        TWO_SERVICES
        + """
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  outboundTrafficPolicy:
    mode: ALLOW_ANY
    egressProxy: {host: egress.example.com, subset: v1, port: {number: 8443}}
"""
    )
    (route,) = routes(routed(text).sidecar("80"), "allow_any")
    assert route["route"]["cluster"] == "outbound|8443|v1|egress.example.com"


def test_attempt_counts_can_be_switched_off(routed: MeshOf) -> None:
    mesh = routed(TWO_SERVICES, defaultConfig={"proxyHeaders": {"attemptCount": {"disabled": True}}})
    assert not any("include_request_attempt_count" in host for host in mesh.sidecar("80")["virtual_hosts"])


def test_a_virtual_service_routes_its_host_and_the_others_stay(routed: MeshOf) -> None:
    found = routed(TWO_SERVICES + SHOP_RULE).sidecar("80")
    assert [route["name"] for route in routes(found, "shop.example.com:80")] == ["old", "rest"]
    assert [route["name"] for route in routes(found, "cart.example.com:80")] == ["default"]


def test_mesh_routes_are_not_merged_and_the_oldest_counts(routed: MeshOf) -> None:
    second = (
        SHOP_RULE.replace("name: shop,", "name: a-second,")
        .replace("namespace: default}", "namespace: default, creationTimestamp: '2020-01-01T00:00:00Z'}")
        .replace("name: rest", "name: second")
    )
    found = routed(TWO_SERVICES + SHOP_RULE + second).sidecar("80")
    assert [route["name"] for route in routes(found, "shop.example.com:80")] == ["old", "rest"]


def test_routes_with_no_condition_for_this_proxy_leave_the_service_its_default(routed: MeshOf) -> None:
    text = (
        TWO_SERVICES
        + SHOP_RULE.replace("match: [{uri: {prefix: /old}}]", "match: [{port: 81}]").split("  - name: rest")[
            0
        ]
    )
    found = routed(text).sidecar("80")
    assert [route["name"] for route in routes(found, "shop.example.com:80")] == ["default"]


def test_a_detected_service_with_an_address_of_its_own_has_routes_of_its_own(routed: MeshOf) -> None:
    found = routed(TWO_SERVICES + SHOP_RULE).sidecar("shop.example.com:9000")
    assert found["name"] == "shop.example.com:9000"
    (host,) = found["virtual_hosts"]
    assert host["name"] == "shop.example.com:9000"
    assert host["domains"] == ["*"]
    assert [route["name"] for route in host["routes"]] == ["old", "rest"]
    assert host["routes"][1]["route"]["cluster"] == "outbound|9000||cart.example.com"


def test_a_detected_service_without_a_rule_has_its_default_route(routed: MeshOf) -> None:
    (host,) = routed(TWO_SERVICES).sidecar("shop.example.com:9000")["virtual_hosts"]
    assert (host["domains"], host["routes"][0]["route"]["cluster"]) == (
        ["*"],
        "outbound|9000||shop.example.com",
    )


@pytest.mark.parametrize("name", ["nonsense", "shop.example.com:x", "80x", "²"])
def test_names_that_nothing_is_known_of_get_an_empty_answer(routed: MeshOf, name: str) -> None:
    assert routed(TWO_SERVICES).sidecar(name) == {"name": name, "validate_clusters": False}


def test_a_port_that_nobody_serves_has_the_catch_all_alone(routed: MeshOf) -> None:
    assert names(routed(TWO_SERVICES).sidecar("4711")) == ["allow_any"]


def test_the_http_proxy_has_all_ports(routed: MeshOf) -> None:
    found = routed(TWO_SERVICES + SHOP_RULE).sidecar("http_proxy")
    by_name = {host["name"]: host for host in found["virtual_hosts"]}
    assert list(by_name) == [
        "cart.example.com:80",
        "shop.example.com:80",
        "shop.example.com:9000",
        "allow_any",
    ]
    assert by_name["shop.example.com:9000"]["domains"] == [
        "shop.example.com:9000",
        "shop.example.com.:9000",
        "10.1.0.1:9000",
    ]
    assert "ignore_port_in_host_matching" not in found
    assert by_name["shop.example.com:80"]["domains"][:2] == ["shop.example.com", "shop.example.com:80"]
    # The only port of the destination, since there is no port of a listener to mean.
    assert (
        by_name["shop.example.com:9000"]["routes"][1]["route"]["cluster"] == "outbound|80||cart.example.com"
    )


SIDECAR = """
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  egress:
  - bind: unix:///var/run/shop.sock
    port: {number: 0, protocol: HTTP, name: unix}
    hosts: ['./shop.example.com']
  - port: {number: 9443, protocol: HTTP_PROXY, name: proxy}
    bind: 127.0.0.1
    hosts: ['./cart.example.com']
  - hosts: ['./cart.example.com']
"""


def test_an_egress_listener_limits_what_its_routes_know(routed: MeshOf) -> None:
    mesh = routed(TWO_SERVICES + SIDECAR)
    assert names(mesh.sidecar("80")) == ["cart.example.com:80", "allow_any"]
    assert "cart.example.com:80" not in names(mesh.sidecar("unix:///var/run/shop.sock"))


def test_a_unix_socket_and_a_proxy_listener_have_all_ports(routed: MeshOf) -> None:
    mesh = routed(TWO_SERVICES + SIDECAR)
    unix = mesh.sidecar("unix:///var/run/shop.sock")
    assert unix["name"] == "unix:///var/run/shop.sock"
    assert names(unix)[:2] == ["shop.example.com:80", "shop.example.com:9000"]
    assert names(mesh.sidecar("9443"))[0] == "cart.example.com:80"


def test_a_default_route_is_hashed_as_the_destination_rule_says(routed: MeshOf) -> None:
    rule = """
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: default}
spec:
  host: shop.example.com
  trafficPolicy:
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
    portLevelSettings:
    - {port: {number: 9000}, loadBalancer: {consistentHash: {useSourceIp: true}}}
    - {port: {number: 80}, loadBalancer: {simple: RANDOM}}
"""
    mesh = routed(TWO_SERVICES + rule)
    (plain,) = routes(mesh.sidecar("80"), "shop.example.com:80")
    assert plain["route"]["hash_policy"] == [{"header": {"header_name": "x-user"}}]
    (own,) = routes(mesh.sidecar("shop.example.com:9000"), "shop.example.com:9000")
    assert own["route"]["hash_policy"] == [{"connection_properties": {"source_ip": True}}]
    assert own["route"]["retry_policy"]["retry_host_predicate"]


RATINGS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ratings, namespace: NAMESPACE}
spec:
  hosts: [ratings.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
"""

RATINGS_RULE = """
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: NAMESPACE}
spec:
  host: ratings.example.com
  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-NAMESPACE}}}
"""


def test_a_service_that_moves_to_another_namespace_brings_that_ones_destination_rule(
    routed: MeshOf, read: Callable[[str], list[Any]]
) -> None:
    rules = "".join(RATINGS_RULE.replace("NAMESPACE", namespace) for namespace in ("blue", "green"))
    route = SHOP_RULE.replace("host: cart", "host: ratings")
    blue, green = (RATINGS.replace("NAMESPACE", namespace) for namespace in ("blue", "green"))
    mesh = routed(blue + "---" + TWO_SERVICES + rules + route)

    def hashed() -> list[str]:
        found = mesh.sidecar("80")
        return [
            policy["header"]["header_name"]
            for name in ("ratings.example.com:80", "shop.example.com:80")
            for policy in routes(found, name)[-1]["route"]["hash_policy"]
        ]

    assert hashed() == ["x-blue", "x-blue"]
    (moved,), (gone,) = read(green), read(blue)
    mesh.mesh, _ = mesh.mesh.updated(ConfigChange((moved,), (gone.key,)))
    assert hashed() == ["x-green", "x-green"]


def test_each_resource_knows_the_lines_that_it_came_from(routed: MeshOf) -> None:
    mesh = routed(TWO_SERVICES + SHOP_RULE)
    lines = [str(origin) for origin in mesh.sidecar_resource("80").origins]
    text = (TWO_SERVICES + SHOP_RULE).splitlines()
    assert [text[int(line.rpartition(":")[2]) - 1].strip() for line in lines] == [
        "- name: old",
        "- name: rest",
    ]
    origins = mesh.sidecar_origins("80")
    assert [(name, str(origin)) for name, origin in origins["shop.example.com:80"]] == [
        ("old", lines[0]),
        ("rest", lines[1]),
    ]
    ((name, origin),) = origins["cart.example.com:80"]
    assert (name, origin.file) == ("default", "mesh.yaml")
    assert list(mesh.sidecar_origins("shop.example.com:9000")) == ["shop.example.com:9000"]


def test_moved_lines_do_not_change_what_is_sent(routed: MeshOf) -> None:
    before = routed(TWO_SERVICES + SHOP_RULE)
    after = routed("# a comment\n\n" + TWO_SERVICES + SHOP_RULE)
    for name in ("80", "shop.example.com:9000", "http_proxy"):
        assert before.sidecar_resource(name).version == after.sidecar_resource(name).version
        assert before.sidecar_resource(name).value == after.sidecar_resource(name).value


def test_the_same_question_has_the_same_answer_object(routed: MeshOf) -> None:
    mesh = routed(TWO_SERVICES + SHOP_RULE)
    for name in ("80", "shop.example.com:9000", "http_proxy", "unknown"):
        assert mesh.sidecar_resource(name) is mesh.sidecar_resource(name)


def test_attempts_are_counted_unless_that_is_switched_off(routed: MeshOf) -> None:
    def counted(proxy_headers: dict[str, Any]) -> bool:
        mesh = routed(TWO_SERVICES, defaultConfig={"proxyHeaders": proxy_headers})
        (host,) = [
            host for host in mesh.sidecar("80")["virtual_hosts"] if host["name"] == "cart.example.com:80"
        ]
        return bool(host.get("include_request_attempt_count", False))

    assert counted({})
    assert counted({"attemptCount": {}})
    assert counted({"attemptCount": {"disabled": False}})
    assert not counted({"attemptCount": {"disabled": True}})


@pytest.mark.parametrize("size", [0, 1, 127, 128, 4095, 4096, 4097, 16384, 70000])
def test_lengths_are_encoded_as_protobuf_does(size: int) -> None:
    body = b"x" * size
    whole = wrappers_pb2.BytesValue(value=body).SerializeToString()
    assert length_delimited(1, body[: size // 2], body[size // 2 :]) == (whole or b"\n\x00")
