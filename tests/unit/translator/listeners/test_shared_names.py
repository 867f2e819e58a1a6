"""Several names of one service, and several documents of one name: what connections meet."""

from __future__ import annotations

from typing import Any

import mizzen
from tests.unit.translator.listeners.listener_scenes import (
    HTTP_MATCH,
    document,
    gateway,
    mesh_of,
    proxy,
    router,
    rule,
    sent,
    server,
    service,
    to,
)

ELSE = {"otherwise": True}
DOMAIN = "default.svc.cluster.local"
REAL, ALIAS = f"real.{DOMAIN}", f"alias.{DOMAIN}"


def kubernetes(name: str, *ports: tuple[str, int], **spec: Any) -> dict[str, Any]:
    listed = [{"name": port_name, "port": number} for port_name, number in ports]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": listed, **spec},
    }


def alias(target: str = REAL, *ports: tuple[str, int]) -> dict[str, Any]:
    return kubernetes("alias", *ports, type="ExternalName", externalName=target)


def clusters(found: Any) -> list[str]:
    made = mizzen.translate(found.mesh, found.proxy).clusters
    return [each.name for each in made if each.name.startswith("outbound|")]


def domains(found: Any, name: str, host: str) -> list[str]:
    (routes,) = [each for each in mizzen.translate(found.mesh, found.proxy).routes if each.name == name]
    (virtual_host,) = [each for each in routes.virtual_hosts if each.name == host]
    return list(virtual_host.domains)


def targets(found: Any, name: str, host: str) -> list[str]:
    (routes,) = [each for each in mizzen.translate(found.mesh, found.proxy).routes if each.name == name]
    (virtual_host,) = [each for each in routes.virtual_hosts if each.name == host]
    return [route.route.cluster for route in virtual_host.routes]


def test_an_alias_is_a_name_of_its_service_and_nothing_more() -> None:
    found = sent(
        kubernetes("real", ("http", 80), ("tcp", 9000), clusterIP="10.1.0.1"),
        alias(REAL, ("http", 80), ("http-other", 81), ("tcp-other", 9001)),
    )
    assert clusters(found) == [f"outbound|80||{REAL}", f"outbound|9000||{REAL}"]
    assert set(found.listeners) - {"virtualInbound", "virtualOutbound"} == {"0.0.0.0_80", "10.1.0.1_9000"}
    assert domains(found, "80", f"{REAL}:80") == [
        *(REAL, f"{REAL}.", "real", "real.default.svc", "real.default"),
        *(ALIAS, f"{ALIAS}.", "alias", "alias.default.svc", "alias.default"),
        "10.1.0.1",
    ]


def test_an_alias_of_a_host_outside_takes_nobodys_connections() -> None:
    found = sent(alias("out.example", ("any", 443)), service("a.example", 443, "TLS"))
    assert found.chains("0.0.0.0_443") == [
        ({"server_names": ["a.example"]}, "outbound|443||a.example"),
        (ELSE, "PassthroughCluster"),
    ]
    assert clusters(found) == ["outbound|443||a.example"]


def test_tls_to_an_alias_is_known_by_its_names() -> None:
    found = sent(service("a.example", 443, "TLS"), alias("a.example"))
    (match, target), _ = found.chains("0.0.0.0_443")
    assert match == {
        "server_names": sorted(
            ["a.example", ALIAS, f"{ALIAS}.", "alias", "alias.default", "alias.default.svc"]
        )
    }
    assert target == "outbound|443||a.example"


def test_a_name_that_an_alias_and_a_service_share_is_the_older_ones() -> None:
    found = sent(
        service("a.example", 443, "TLS", age=2), alias("a.example"), service("alias.default", 443, "TLS")
    )
    names = [match.get("server_names", []) for match, _ in found.chains("0.0.0.0_443")]
    assert [("alias.default" in each) for each in names] == [True, False]
    assert "alias.default" in found.warnings[0]


def test_of_names_that_two_rules_share_the_first_counts() -> None:
    def tls(*hosts: str, to_host: str) -> dict[str, Any]:
        return {"match": [{"sniHosts": list(hosts)}], "route": [to(to_host)]}

    found = sent(
        service("a.example", 443, "TLS"),
        service("b.example", 443, "TLS", address="10.1.0.2"),
        rule("*.example", name="older", tls=[tls("a.example", "x.a.example", to_host="a.example")], age=2),
        rule("*.example", tls=[tls("a.example", "y.a.example", to_host="b.example")], age=1),
    )
    assert found.chains("0.0.0.0_443") == [
        ({"server_names": ["a.example", "x.a.example"]}, "outbound|443||a.example"),
        ({"server_names": ["y.a.example"]}, "outbound|443||b.example"),
        (ELSE, "PassthroughCluster"),
    ]


def test_destinations_that_are_aliases_lead_to_the_service_on_any_port() -> None:
    shared = [
        kubernetes("real", ("http", 80), ("http-alt", 81), clusterIP="10.1.0.1"),
        alias(REAL, ("http", 80)),
        document(
            "DestinationRule",
            "real",
            {"host": REAL, "trafficPolicy": {"tunnel": {"targetHost": "x", "targetPort": 9}}},
        ),
        service("front.example", 81, "HTTP"),
        service("tcp.example", 9000, "TCP", address="10.1.0.9"),
        rule("tcp.example", tcp=[{"route": [to("alias", port=81)]}]),
    ]
    found = sent(
        *shared,
        rule(
            "front.example",
            http=[
                {
                    "match": [{"uri": {"prefix": "/one"}}],
                    "route": [to("alias", port=81, subset="v1")],
                    "mirror": {"host": "alias", "port": {"number": 80}},
                },
                {"route": [to("alias")]},
            ],
        ),
    )
    assert targets(found, "81", "front.example:81") == [f"outbound|81|v1|{REAL}", f"outbound|81||{REAL}"]
    assert found.chains("10.1.0.9_9000") == [({}, f"outbound|81||{REAL}")]
    # The rule of the service counts, too.
    assert found.tcp("10.1.0.9_9000")["tunneling_config"]["hostname"] == "x:9"


def test_a_rule_for_an_alias_takes_its_names_from_the_service() -> None:
    found = sent(
        kubernetes("real", ("http", 80), clusterIP="10.1.0.1"),
        alias(REAL, ("http", 80)),
        rule(ALIAS, http=[{"timeout": "3s", "route": [to(REAL)]}]),
    )
    assert domains(found, "80", f"{ALIAS}:80")[:2] == [ALIAS, f"{ALIAS}."]
    assert domains(found, "80", f"{REAL}:80") == [
        *(REAL, f"{REAL}.", "real", "real.default.svc", "real.default"),
        "10.1.0.1",
    ]


def test_a_gateway_routes_to_the_service_of_an_alias() -> None:
    found = sent(
        kubernetes("real", ("http", 80), clusterIP="10.1.0.1"),
        alias(REAL, ("http", 80)),
        gateway(server(8080, "HTTP")),
        rule("shop.example", gateways=["edge"], http=[{"route": [to("alias")]}]),
        to=router(),
    )
    assert targets(found, "http.8080", "shop.example:8080") == [f"outbound|80||{REAL}"]


def twice(host: str, one: dict[str, Any], two: dict[str, Any]) -> list[dict[str, Any]]:
    """Two ServiceEntries of one host; `one` is the older."""
    found = []
    for age, name, more in ((2, "one", one), (1, "two", two)):
        entry = service(host, more.pop("port"), more.pop("protocol"), age=age, **more)
        entry["metadata"]["name"] = name
        found.append(entry)
    return found


def test_every_document_of_a_host_is_called_at_its_own_address() -> None:
    found = sent(
        *twice(
            "a.example",
            {"port": 9000, "protocol": "TCP", "address": "10.1.0.1"},
            {"port": 9000, "protocol": "TCP", "address": "10.1.0.2"},
        )
    )
    for address in ("10.1.0.1", "10.1.0.2"):
        assert found.chains(f"{address}_9000") == [({}, "outbound|9000||a.example")]
    assert clusters(found) == ["outbound|9000||a.example"]
    assert found.warnings == ()


def test_a_host_of_two_resolutions_has_the_older_ones_cluster_and_a_listener() -> None:
    found = sent(
        *twice(
            "a.example",
            {"port": 443, "protocol": "TLS", "resolution": "NONE", "endpoints": ("10.9.0.1",)},
            {"port": 443, "protocol": "TLS", "resolution": "DNS", "endpoints": ("b.example",)},
        )
    )
    assert found.chains("0.0.0.0_443") == [
        ({"server_names": ["a.example"]}, "outbound|443||a.example"),
        (ELSE, "PassthroughCluster"),
    ]
    (cluster,) = [
        each
        for each in mizzen.translate(found.mesh, found.proxy).clusters
        if each.name.startswith("outbound")
    ]
    assert cluster.type == cluster.ORIGINAL_DST


def test_a_host_of_two_protocols_is_called_by_both() -> None:
    found = sent(*twice("a.example", {"port": 8000, "protocol": "HTTP"}, {"port": 8000, "protocol": "TCP"}))
    assert found.chains("0.0.0.0_8000") == [
        (HTTP_MATCH, "routes 8000"),
        (ELSE, "outbound|8000||a.example"),
    ]
    assert targets(found, "8000", "a.example:8000") == ["outbound|8000||a.example"]
    assert found.warnings == ()


def test_documents_of_a_host_are_not_in_each_others_way() -> None:
    found = sent(*twice("a.example", {"port": 8000, "protocol": ""}, {"port": 8000, "protocol": ""}))
    assert found.chains("0.0.0.0_8000") == [
        (HTTP_MATCH, "routes 8000"),
        (ELSE, "outbound|8000||a.example"),
    ]
    assert found.warnings == ()


def test_no_listener_leads_to_a_port_without_cluster() -> None:
    found = sent(
        *twice(
            "a.example",
            {"port": 9000, "protocol": "TCP", "address": "10.1.0.1"},
            {"port": 9001, "protocol": "TCP", "resolution": "DNS", "address": "10.1.0.2"},
        )
    )
    assert clusters(found) == ["outbound|9000||a.example"]
    assert "10.1.0.2_9001" not in found.listeners


def test_what_is_exported_to_the_namespace_comes_before_what_everybody_sees() -> None:
    found = sent(
        service("public.example", 9000, "TCP", age=2),
        service("own.example", 9000, "TCP", age=1, exportTo=["."]),
    )
    assert found.chains("0.0.0.0_9000") == [({}, "outbound|9000||own.example")]


def test_a_rule_leads_to_a_service_of_its_namespace_that_is_hidden_from_it() -> None:
    hidden = service("hidden.example", 8000, "HTTP", exportTo=["other"])
    found = sent(hidden, rule("x.example", http=[{"route": [to("hidden.example", port=8000)]}]))
    assert clusters(found) == ["outbound|8000||hidden.example"]
    assert "0.0.0.0_8000" not in found.listeners
    assert clusters(sent(hidden)) == []


def test_routes_of_a_port_are_those_of_the_egress_listener_that_names_it() -> None:
    sidecar = document(
        "Sidecar",
        "default",
        {
            "egress": [
                {
                    "port": {"number": 8000, "name": "http", "protocol": "HTTP"},
                    "hosts": ["./missing.example"],
                },
                {"hosts": ["./*"]},
            ]
        },
    )
    found = sent(service("a.example", 8000, "HTTP"), sidecar)
    made = mizzen.translate(mesh_of([service("a.example", 8000, "HTTP"), sidecar]), proxy())
    (routes,) = [each for each in made.routes if each.name == "8000"]
    assert [each.name for each in routes.virtual_hosts] == ["allow_any"]
    assert found.chains("0.0.0.0_8000")[0] == (HTTP_MATCH, "routes 8000")
