"""Listeners of gateways: which servers make which chains."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.snapshot import Mesh
from tests.unit.translator.listeners.listener_scenes import (
    document,
    gateway,
    proxy,
    router,
    rule,
    sent,
    server,
    service,
    to,
)

SIMPLE = {"mode": "SIMPLE", "credentialName": "cert"}
PASSTHROUGH = {"mode": "PASSTHROUGH"}
DB = service("db.example", 5432, "TCP")
SECURE = service("secure.example", 443, "TLS")
EDGE = "default/edge"
DB_CLUSTER, SECURE_CLUSTER = "outbound|5432||db.example", "outbound|443||secure.example"


def edge(*documents: Any, mesh: Any = None, **metadata: Any) -> Any:
    return sent(*documents, mesh=mesh, to=router(**metadata))


def sni(*hosts: str, to_host: str = "secure.example", **match: Any) -> dict[str, Any]:
    return {"match": [{"sniHosts": list(hosts), **match}], "route": [to(to_host)]}


def test_servers_of_plain_http_share_one_chain() -> None:
    found = edge(
        gateway(server(80, "HTTP", "a.example"), name="a", age=2),
        gateway(server(80, "HTTP2", "b.example"), name="b"),
    )
    assert found.listeners.keys() == {"0.0.0.0_80"}
    assert found.chains("0.0.0.0_80") == [({}, "routes http.80")]
    assert found.filters("0.0.0.0_80") == []
    listener = found.listeners["0.0.0.0_80"]
    assert listener["max_connections_to_accept_per_socket_event"] == 1
    # Envoy's own limit of 15 s holds: a client that says nothing is not kept.
    assert "listener_filters_timeout" not in listener


def test_each_https_server_has_its_chain_and_routes() -> None:
    found = edge(
        gateway(
            server(443, "HTTPS", "b.example", "a.example", name="first", tls=SIMPLE),
            server(443, "HTTPS", "*", name="rest", tls=SIMPLE),
        )
    )
    assert found.chains("0.0.0.0_443") == [
        ({"server_names": ["a.example", "b.example"]}, "routes https.443.first.edge.default"),
        ({}, "routes https.443.rest.edge.default"),
    ]
    assert found.filters("0.0.0.0_443") == ["tls_inspector"]
    for chain in found.listeners["0.0.0.0_443"]["filter_chains"]:
        assert chain["transport_socket"]["name"] == "envoy.transport_sockets.tls"
        assert chain["transport_socket_connect_timeout"] == "15s"
    assert set(found.routes) == {"https.443.first.edge.default", "https.443.rest.edge.default"}


def test_the_name_of_a_server_is_what_it_is_counted_under() -> None:
    servers = [
        server(443, "HTTPS", "a.example", name="a", tls=SIMPLE) | {"name": "counted"},
        server(443, "HTTPS", "b.example", name="b", tls=SIMPLE),
    ]
    found = edge(gateway(*servers))
    prefixes = [found.manager("0.0.0.0_443", index)["stat_prefix"] for index in (0, 1)]
    assert prefixes == ["counted", "outbound_0.0.0.0_443;"]


def test_a_redirect_to_https_needs_no_certificate() -> None:
    found = edge(gateway(server(80, "HTTP", "a.example", tls={"httpsRedirect": True})))
    assert found.chains("0.0.0.0_80") == [({}, "routes http.80")]
    assert "transport_socket" not in found.listeners["0.0.0.0_80"]["filter_chains"][0]


def test_servers_bind_where_they_say() -> None:
    found = edge(gateway(server(80, "HTTP", bind="10.0.0.9"), server(80, "HTTP", name="all")))
    assert found.chains("10.0.0.9_80") == [({}, "routes http.80.10.0.0.9")]
    assert found.chains("0.0.0.0_80") == [({}, "routes http.80")]


def test_an_ipv6_gateway_listens_on_its_wildcard() -> None:
    found = sent(gateway(server(80, "HTTP")), to=router(INSTANCE_IPS="2001:db8::7"))
    assert found.listeners.keys() == {"::_80"}


def test_an_unprivileged_gateway_binds_no_low_port() -> None:
    found = edge(gateway(server(80, "HTTP"), server(8080, "HTTP")), UNPRIVILEGED_POD="true")
    assert found.listeners.keys() == {"0.0.0.0_8080"}
    assert "MZ0104 port 80 of gateway default/edge" in found.warnings[0]


def test_a_tcp_server_has_the_chain_of_the_first_rule_for_it() -> None:
    found = edge(
        DB,
        gateway(server(5432, "TCP", "db.example"), server(5433, "TCP", "db.example")),
        rule(
            "db.example",
            gateways=[EDGE],
            tcp=[{"match": [{"port": 5433}], "route": [to("db.example")]}, {"route": [to("db.example")]}],
        ),
    )
    assert found.chains("0.0.0.0_5432") == [({}, DB_CLUSTER)]
    assert found.filters("0.0.0.0_5432") == []


@pytest.mark.parametrize(
    ("match", "served"),
    [
        ({"port": 5432}, True),
        ({"port": 1}, False),
        ({"gateways": [EDGE]}, True),
        ({"sourceLabels": {"app": "never"}}, True),
    ],
)
def test_of_a_tcp_match_port_and_gateway_count(match: dict[str, Any], served: bool) -> None:
    found = edge(
        DB,
        gateway(server(5432, "TCP", "db.example")),
        rule("db.example", gateways=[EDGE], tcp=[{"match": [match], "route": [to("db.example")]}]),
    )
    assert ("0.0.0.0_5432" in found.listeners) is served


def test_without_a_rule_a_tcp_server_does_not_listen() -> None:
    assert edge(DB, gateway(server(5432, "TCP"))).listeners == {}


def test_a_server_of_another_protocol_has_its_filter() -> None:
    found = edge(
        DB,
        gateway(server(27017, "Mongo", "db.example")),
        rule("db.example", gateways=[EDGE], tcp=[{"route": [to("db.example")]}]),
    )
    filters = [each["name"] for each in found.listeners["0.0.0.0_27017"]["filter_chains"][0]["filters"]]
    assert filters == ["envoy.filters.network.mongo_proxy", "envoy.filters.network.tcp_proxy"]


def test_tls_ends_before_tcp() -> None:
    found = edge(
        DB,
        gateway(server(5432, "TLS", "db.example", tls=SIMPLE)),
        rule("db.example", gateways=[EDGE], tcp=[{"route": [to("db.example")]}]),
    )
    assert found.chains("0.0.0.0_5432") == [({"server_names": ["db.example"]}, DB_CLUSTER)]
    assert "transport_socket" in found.listeners["0.0.0.0_5432"]["filter_chains"][0]
    assert found.filters("0.0.0.0_5432") == ["tls_inspector"]


def test_a_host_counts_just_for_rules_of_its_namespace() -> None:
    hosts = ("default/db.example", "other/else.example")
    routed = rule("db.example", gateways=[EDGE], tcp=[{"route": [to("db.example")]}])
    documents = (DB, gateway(server(5432, "TCP", *hosts)))
    assert "0.0.0.0_5432" in edge(*documents, routed).listeners
    # The namespace `other` may route else.example here, and nothing more.
    routed["metadata"]["namespace"] = "other"
    assert edge(*documents, routed).listeners == {}


def test_tls_is_passed_through_by_its_name() -> None:
    found = edge(
        SECURE,
        gateway(server(443, "TLS", "*.example", tls=PASSTHROUGH)),
        rule("secure.example", gateways=[EDGE], tls=[sni("secure.example")]),
    )
    assert found.chains("0.0.0.0_443") == [({"server_names": ["secure.example"]}, SECURE_CLUSTER)]
    assert "transport_socket" not in found.listeners["0.0.0.0_443"]["filter_chains"][0]
    assert found.filters("0.0.0.0_443") == ["tls_inspector"]


def test_of_two_rules_for_one_name_the_older_counts() -> None:
    found = edge(
        SECURE,
        DB,
        gateway(server(443, "TLS", "*.example", tls=PASSTHROUGH)),
        rule("secure.example", gateways=[EDGE], name="old", tls=[sni("secure.example")], age=3),
        rule(
            "*.example",
            gateways=[EDGE],
            name="new",
            tls=[sni("secure.example", "b.example", to_host="db.example")],
        ),
    )
    assert found.chains("0.0.0.0_443") == [
        ({"server_names": ["secure.example"]}, SECURE_CLUSTER),
        ({"server_names": ["b.example"]}, DB_CLUSTER),
    ]
    assert [warning.startswith("MZ0103 host secure.example") for warning in found.warnings] == [True]


def test_a_name_that_ends_here_is_not_passed_through_too() -> None:
    found = edge(
        SECURE,
        gateway(
            server(443, "HTTPS", "secure.example", name="https", tls=SIMPLE),
            server(443, "TLS", "*.example", name="tls", tls=PASSTHROUGH),
        ),
        rule("secure.example", gateways=[EDGE], tls=[sni("secure.example")]),
    )
    assert [target for _, target in found.chains("0.0.0.0_443")] == ["routes https.443.https.edge.default"]
    assert "MZ0103" in found.warnings[0]


def test_one_name_in_two_namespaces_is_one_name_to_a_client() -> None:
    found = edge(
        gateway(server(443, "HTTPS", "a/x.example", name="a", tls=SIMPLE), name="first", age=2),
        gateway(server(443, "HTTPS", "b/x.example", name="b", tls=SIMPLE), name="second"),
    )
    assert found.chains("0.0.0.0_443") == [
        ({"server_names": ["x.example"]}, "routes https.443.a.first.default")
    ]
    assert any("MZ0103" in warning for warning in found.warnings)


def test_a_plain_server_after_tls_takes_what_is_not_tls() -> None:
    found = edge(
        gateway(server(443, "HTTPS", "a.example", tls=SIMPLE), name="first", age=2),
        gateway(server(443, "HTTP", "b.example"), name="second"),
    )
    assert found.chains("0.0.0.0_443") == [
        ({}, "routes http.443"),
        ({"server_names": ["a.example"]}, "routes https.443.https-443.first.default"),
    ]
    assert found.warnings == ()


def test_tls_after_a_plain_server_is_refused_and_named() -> None:
    found = edge(
        gateway(server(443, "HTTP", "b.example"), name="first", age=2),
        gateway(server(443, "HTTPS", "a.example", tls=SIMPLE), name="second"),
    )
    assert found.chains("0.0.0.0_443") == [({}, "routes http.443")]
    assert "MZ0206" in found.warnings[0]


def test_names_of_connections_are_read_where_every_name_is_passed_on() -> None:
    found = edge(
        gateway(server(443, "TLS", "*", tls={"mode": "PASSTHROUGH"})),
        service("a.example", 443, "TLS"),
        rule(
            "*",
            gateways=["edge"],
            tls=[{"match": [{"port": 443, "sniHosts": ["*"]}], "route": [to("a.example", port=443)]}],
        ),
    )
    assert found.chains("0.0.0.0_443") == [({}, "outbound|443||a.example")]
    assert found.filters("0.0.0.0_443") == ["tls_inspector"]


def test_mesh_traffic_from_elsewhere_is_passed_to_the_cluster_it_names() -> None:
    subsets = [{"name": "v1", "labels": {"version": "v1"}}]
    pool = {"connectionPool": {"tcp": {"idleTimeout": "33s"}}}
    found = edge(
        service("db.example", 5432, "TCP", location="MESH_INTERNAL"),
        document("DestinationRule", "db", {"host": "db.example", "subsets": subsets, "trafficPolicy": pool}),
        gateway(server(15443, "TLS", "*.example", tls={"mode": "AUTO_PASSTHROUGH"})),
    )
    names = ["outbound_.5432_._.db.example", "outbound_.5432_.v1_.db.example"]
    chains = found.chains("0.0.0.0_15443")
    assert [target for _, target in chains] == names
    assert [match["server_names"] for match, _ in chains] == [[name] for name in names]
    assert "istio" in chains[0][0]["application_protocols"]
    assert found.tcp("0.0.0.0_15443")["idle_timeout"] == "33s"


def test_external_services_are_not_reached_that_way() -> None:
    outside = service("db.example", 5432, "TCP", location="MESH_EXTERNAL")
    auto = gateway(server(15443, "TLS", "*.example", tls={"mode": "AUTO_PASSTHROUGH"}))
    assert edge(outside, auto).listeners == {}


def tls_secret(name: str) -> dict[str, Any]:
    """A Secret with a certificate that is made here and now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    data = {"tls.crt": certificate.public_bytes(pem), "tls.key": plain}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": "kubernetes.io/tls",
        "data": {field: b64encode(content).decode() for field, content in data.items()},
    }


def test_secrets_are_those_that_the_servers_name() -> None:
    found = edge(
        tls_secret("cert"), tls_secret("unused"), gateway(server(443, "HTTPS", "a.example", tls=SIMPLE))
    )
    sent_secrets = mizzen.translate(found.mesh, found.proxy).secrets
    assert [secret.name for secret in sent_secrets] == ["kubernetes://cert"]
    assert mizzen.translate(found.mesh, proxy()).secrets == []


def test_one_chain_that_looks_at_tls_is_enough_for_the_inspector() -> None:
    found = edge(
        SECURE,
        DB,
        gateway(server(443, "TLS", "*", tls=PASSTHROUGH)),
        rule(
            "*",
            gateways=[EDGE],
            tls=[sni("a.example"), sni("*", to_host="db.example")],
        ),
    )
    assert [match.get("server_names") for match, _ in found.chains("0.0.0.0_443")] == [["a.example"], None]
    assert found.filters("0.0.0.0_443") == ["tls_inspector"]


def test_servers_that_differ_only_in_their_address_have_routes_each() -> None:
    found = edge(
        service("a.example", 80, "HTTP"),
        gateway(
            server(80, "HTTP", "a.example", name="one", bind="10.0.0.1"),
            server(80, "HTTP", "a.example", name="two", bind="10.0.0.2"),
            server(80, "HTTP", "a.example", name="three"),
        ),
        rule("a.example", gateways=[EDGE], http=[{"route": [to("a.example")]}]),
    )
    assert sorted(found.routes) == ["http.80", "http.80.10.0.0.1", "http.80.10.0.0.2"]
    assert found.chains("10.0.0.2_80") == [({}, "routes http.80.10.0.0.2")]


def test_a_listener_knows_the_lines_of_its_servers() -> None:
    found = edge(gateway(server(80, "HTTP", "a.example"), server(80, "HTTP", "b.example", name="b")))
    (listener,) = found.mesh.gateways_for(found.proxy).listeners
    assert [str(each.origin) for each in listener.servers] == ["mesh.yaml:11", "mesh.yaml:17"]


def test_a_destination_of_a_tcp_rule_without_a_port() -> None:
    def cluster(host: str) -> Any:
        two = {"ports": [{"number": 1, "name": "a"}, {"number": 2, "name": "b"}]}
        found = edge(
            service("one.example", 7, "TCP"),
            service("two.example", 7, "TCP", **two),
            gateway(server(5432, "TCP")),
            rule("*", gateways=[EDGE], tcp=[{"route": [to(host)]}]),
        )
        ((_, target),) = found.chains("0.0.0.0_5432")
        return target

    assert cluster("one.example") == "outbound|7||one.example"
    # With several ports, and of a host that nobody knows, it is the port that is listened on.
    assert cluster("two.example") == "outbound|5432||two.example"
    assert cluster("unknown.example") == "outbound|5432||unknown.example"


def test_a_gateways_port_follows_a_change_of_its_own_service() -> None:
    def kubernetes(**labels: str) -> dict[str, Any]:
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "edge", "namespace": "default", "labels": labels},
            "spec": {"selector": {"istio": "edge"}, "ports": ports},
        }

    pod = document("WorkloadEntry", "edge", {"address": "10.0.0.7", "labels": {"istio": "edge"}})
    standing = (pod, gateway(server(80, "HTTP", "a.example")))
    plain = kubernetes()
    marked = kubernetes(**{"experimental.istio.io/disable-gateway-port-translation": "true"})
    found = edge(plain, *standing)
    assert found.listeners.keys() == {"0.0.0.0_8080"}
    assert edge(marked, *standing).listeners.keys() == {"0.0.0.0_80"}
    store = ConfigStore()

    def change(service: Any, *others: Any) -> Any:
        files = {}
        for number, each in enumerate((service, *others)):
            name = f"{number}.yaml"
            files[name] = parse_documents(yaml.safe_dump(each).encode(), name)
        return store.apply(files)

    change(plain, *standing)
    mesh = Mesh.build(store.configs())
    assert [each.port for each in mesh.gateways_for(found.proxy).listeners] == [8080]
    later, _ = mesh.updated(change(marked))
    assert [each.port for each in later.gateways_for(found.proxy).listeners] == [80]


def test_a_tcp_rule_is_for_a_server_that_one_of_its_conditions_names() -> None:
    def targets(*conditions: dict[str, Any]) -> Any:
        found = edge(
            DB,
            gateway(server(5432, "TCP")),
            rule(
                "*", gateways=[EDGE, "other"], tcp=[{"match": list(conditions), "route": [to("db.example")]}]
            ),
        )
        return "0.0.0.0_5432" in found.listeners

    assert targets({"port": 1}, {"port": 5432})
    assert targets({"gateways": ["other"]}, {"gateways": ["edge"], "port": 5432})
    assert not targets({"port": 1}, {"gateways": ["other"], "port": 5432})


def test_tls_that_passes_through_is_routed_by_the_conditions_for_the_server() -> None:
    found = edge(
        SECURE,
        gateway(server(443, "TLS", "*.example", tls=PASSTHROUGH)),
        rule(
            "*.example",
            gateways=[EDGE, "other"],
            tls=[
                sni("a.example", port=444),
                sni("b.example", port=443),
                sni("c.example", gateways=["other"]),
                sni("d.example", gateways=["edge"]),
            ],
        ),
    )
    names = [match["server_names"] for match, _ in found.chains("0.0.0.0_443")]
    assert names == [["b.example"], ["d.example"]]
