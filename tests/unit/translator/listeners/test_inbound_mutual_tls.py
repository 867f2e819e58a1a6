"""What a workload's ports take by their mode and protocol: the table of Istio, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.translator.listeners.listener_scenes import ADDRESS, Sent, document, proxy, sent

MESH_HTTP = ["istio-http/1.0", "istio-http/1.1", "istio-h2"]
MESH_TCP = ["istio-peer-exchange", "istio"]
PLAIN_HTTP = ["http/1.1", "h2c"]
AUTO_MTLS = {"enableAutoMtls": True}

Row = tuple[str, list[str], str]
"""Transport protocol, application protocols, and what becomes of the connection."""

TABLE: dict[tuple[str, str], list[Row]] = {
    ("STRICT", "HTTP"): [("tls", [], "terminated, HTTP")],
    ("STRICT", "TCP"): [("tls", [], "terminated, TCP")],
    ("STRICT", ""): [("tls", MESH_HTTP, "terminated, HTTP"), ("tls", [], "terminated, TCP")],
    ("PERMISSIVE", "HTTP"): [
        ("tls", MESH_TCP + MESH_HTTP, "terminated, HTTP"),
        ("raw_buffer", [], "HTTP"),
    ],
    ("PERMISSIVE", "TCP"): [
        ("tls", MESH_TCP + MESH_HTTP, "terminated, TCP"),
        ("tls", [], "TCP"),
        ("raw_buffer", [], "TCP"),
    ],
    ("PERMISSIVE", ""): [
        ("tls", MESH_HTTP, "terminated, HTTP"),
        ("raw_buffer", PLAIN_HTTP, "HTTP"),
        ("tls", MESH_TCP, "terminated, TCP"),
        ("raw_buffer", [], "TCP"),
        ("tls", [], "TCP"),
    ],
    ("DISABLE", "HTTP"): [("raw_buffer", [], "HTTP")],
    ("DISABLE", "TCP"): [("raw_buffer", [], "TCP")],
    ("DISABLE", ""): [("raw_buffer", PLAIN_HTTP, "HTTP"), ("raw_buffer", [], "TCP")],
}


def policy(mode: str, *, app: str = "", **ports: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"mtls": {"mode": mode}}
    if app:
        spec["selector"] = {"matchLabels": {"app": app}}
        levels = {number.removeprefix("port"): {"mode": level} for number, level in ports.items()}
        spec |= {"portLevelMtls": levels} if levels else {}
    return document("PeerAuthentication", "p", spec)


def workload(protocol: str, port: int = 8080) -> dict[str, Any]:
    labels = {"address": ADDRESS, "labels": {"app": "client"}}
    return document(
        "ServiceEntry",
        f"own-{port}",
        {
            "hosts": [f"own-{port}.example"],
            "ports": [{"number": port, "name": "p", "protocol": protocol}],
            "resolution": "STATIC",
            "endpoints": [labels],
        },
    )


def rows(found: Sent, port: int | None) -> list[Row]:
    """The chains of a port of virtualInbound (None: those of no port)."""
    return [
        _row(chain) for chain in found.listeners["virtualInbound"]["filter_chains"] if _port(chain) == port
    ]


def _port(chain: dict[str, Any]) -> int | None:
    number: int | None = chain["filter_chain_match"].get("destination_port")
    return number


def _row(chain: dict[str, Any]) -> Row:
    match = chain["filter_chain_match"]
    kind = "HTTP" if chain["filters"][-1]["typed_config"]["@type"].endswith("Manager") else "TCP"
    end = f"terminated, {kind}" if "transport_socket" in chain else kind
    return match["transport_protocol"], match.get("application_protocols", []), end


@pytest.mark.parametrize(("mode", "protocol"), TABLE)
def test_a_port_of_a_service(mode: str, protocol: str) -> None:
    found = sent(workload(protocol), policy(mode), mesh=AUTO_MTLS)
    assert rows(found, 8080) == TABLE[mode, protocol]


@pytest.mark.parametrize("mode", ["STRICT", "PERMISSIVE", "DISABLE"])
def test_ports_of_no_service_are_as_one_of_unknown_protocol(mode: str) -> None:
    found = sent(workload("HTTP"), policy(mode), mesh=AUTO_MTLS)
    assert rows(found, None) == TABLE[mode, ""]


def test_a_port_of_no_service_with_a_mode_of_its_own_has_chains_of_its_own() -> None:
    found = sent(workload("HTTP"), policy("STRICT", app="client", port9000="DISABLE"), mesh=AUTO_MTLS)
    assert rows(found, 8080) == TABLE["STRICT", "HTTP"]
    assert rows(found, 9000) == TABLE["DISABLE", ""]
    names = [
        chain["name"] for chain in found.listeners["virtualInbound"]["filter_chains"] if _port(chain) == 9000
    ]
    assert names == ["virtualInbound-catchall-http", "virtualInbound"]


def test_without_a_policy_both_are_taken() -> None:
    assert rows(sent(workload("HTTP"), mesh=AUTO_MTLS), 8080) == TABLE["PERMISSIVE", "HTTP"]


def test_without_certificates_there_is_plain_text_or_nothing() -> None:
    assert rows(sent(workload("HTTP")), 8080) == TABLE["DISABLE", "HTTP"]
    assert rows(sent(workload("HTTP"), policy("PERMISSIVE")), 8080) == TABLE["DISABLE", "HTTP"]
    assert rows(sent(workload("HTTP"), policy("STRICT")), 8080) == TABLE["STRICT", "HTTP"]


def test_the_end_of_tls_demands_an_identity_of_the_mesh() -> None:
    mesh = {**AUTO_MTLS, "trustDomain": "a.example", "trustDomainAliases": ["b.example"]}
    found = sent(workload("HTTP"), policy("STRICT"), mesh=mesh)
    chain = next(each for each in found.listeners["virtualInbound"]["filter_chains"] if _port(each) == 8080)
    context = chain["transport_socket"]["typed_config"]
    assert context["require_client_certificate"] is True
    common = context["common_tls_context"]
    assert [each["name"] for each in common["tls_certificate_sds_secret_configs"]] == ["default"]
    validation = common["combined_validation_context"]
    assert validation["validation_context_sds_secret_config"]["name"] == "ROOTCA"
    names = validation["default_validation_context"]["match_subject_alt_names"]
    assert names == [{"prefix": "spiffe://a.example/"}, {"prefix": "spiffe://b.example/"}]


def disabled(found: Sent, inspector: str, port: int) -> bool:
    """Whether the inspector is absent, or off for connections to the port."""
    filters = found.listeners["virtualInbound"]["listener_filters"]
    named = [each for each in filters if each["name"].endswith(inspector)]
    return not named or _holds(named[0].get("filter_disabled"), port)


def _holds(rule: dict[str, Any] | None, port: int) -> bool:
    if rule is None:
        return False
    if "not_match" in rule:
        return not _holds(rule["not_match"], port)
    if "or_match" in rule:
        return any(_holds(each, port) for each in rule["or_match"]["rules"])
    if rule.get("any_match"):
        return True
    reach = rule["destination_port_range"]
    return bool(reach["start"] <= port < reach["end"])


@pytest.mark.parametrize(
    ("mode", "tls", "http"),
    [("STRICT", [8080, 8081, 7], []), ("PERMISSIVE", [8080, 8081, 7], [8081, 7]), ("DISABLE", [], [8081, 7])],
)
def test_inspectors_look_only_where_a_chain_needs_what_they_find(
    mode: str, tls: list[int], http: list[int]
) -> None:
    """A client that waits for the server's first word would wait for an inspector in vain."""
    documents = (workload("TCP", 8080), workload("", 8081), policy(mode))
    found = sent(*documents, mesh=AUTO_MTLS)
    ports = (8080, 8081, 7, 15006)
    assert [port for port in ports if not disabled(found, "tls_inspector", port)] == tls
    assert [port for port in ports if not disabled(found, "http_inspector", port)] == http


def test_an_inspector_follows_the_mode_of_a_single_port() -> None:
    documents = (
        workload("TCP", 8080),
        policy("STRICT", app="client", port8080="DISABLE", port7="PERMISSIVE"),
    )
    found = sent(*documents, mesh=AUTO_MTLS)
    assert [port for port in (8080, 7, 8) if not disabled(found, "tls_inspector", port)] == [7, 8]
    assert [port for port in (8080, 7, 8) if not disabled(found, "http_inspector", port)] == [7]


@pytest.mark.parametrize(
    ("mode", "filters"),
    [
        ("STRICT", ["tls_inspector"]),
        ("PERMISSIVE", ["tls_inspector", "http_inspector"]),
        ("DISABLE", ["http_inspector"]),
    ],
)
def test_a_bound_port_has_the_chains_of_its_mode(mode: str, filters: list[str]) -> None:
    ingress = {"port": {"number": 9080, "name": "p", "protocol": ""}, "captureMode": "NONE"}
    sidecar = document("Sidecar", "s", {"ingress": [ingress], "egress": [{"hosts": ["*/*"]}]})
    found = sent(sidecar, policy(mode), mesh=AUTO_MTLS)
    name = f"{ADDRESS}_9080_bound"
    assert found.filters(name) == filters
    assert [_row(chain) for chain in found.listeners[name]["filter_chains"]] == TABLE[mode, ""]


def test_a_gateway_takes_no_notice() -> None:
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    edge = document("Gateway", "g", {"selector": {"app": "edge"}, "servers": [server]})
    to = proxy("router", labels={"app": "edge"})
    sides = [sent(edge, *more, to=to, mesh=AUTO_MTLS).listeners for more in ((), (policy("STRICT"),))]
    assert sides[0] == sides[1]
