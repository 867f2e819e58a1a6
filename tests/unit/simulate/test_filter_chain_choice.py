"""Which filter chain takes a connection: Envoy's order, most specific first and never back."""

from __future__ import annotations

import pytest
import yaml

from mizzen.simulate import Call, ClientTls, Failure, Outcome, Protocol, Simulator, Verdict
from tests.unit.simulate.simulated_proxy import configuration, typed

_INSPECTORS = [
    typed("envoy.filters.listener.tls_inspector", "tls_inspector"),
    typed("envoy.filters.listener.http_inspector", "http_inspector"),
]

UNNAMED = "none known, as the connection is plain text"

_HTTP_OR_NOT = """
    http: {application_protocols: [http/1.1], transport_protocol: raw_buffer}
    rest: {transport_protocol: raw_buffer}
"""


def _simulator(chains: str, filters: str | None = None, default: bool = False) -> Simulator:
    """Return a listener on port 80; its chains (name: match) each go to a cluster of their name."""

    def chain(name: str, match: object) -> dict[str, object]:
        return {
            "name": name,
            "filter_chain_match": match,
            "filters": [typed("tcp", "tcp", stat_prefix=name, cluster=name)],
        }

    listener = {
        "name": "listener",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}},
        "listener_filters": yaml.safe_load(filters) if filters is not None else _INSPECTORS,
        "filter_chains": [chain(name, match or {}) for name, match in yaml.safe_load(chains).items()],
    }
    if default:
        listener["default_filter_chain"] = chain("default", {})
    return Simulator(configuration(listeners=yaml.safe_dump([listener])))


def _chosen(verdict: Verdict) -> str | None:
    return verdict.filter_chain.name if verdict.filter_chain is not None else None


def _call(**fields: object) -> Call:
    return Call(**{"port": 80, "address": "10.0.0.1", "protocol": Protocol.TCP, **fields})  # type: ignore[arg-type]


def test_the_longest_prefix_of_the_destination_wins() -> None:
    simulator = _simulator("""
        wide: {prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}
        narrow: {prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 24}]}
        any:
    """)
    found = [
        _chosen(simulator.verdict(_call(address=each)))
        for each in ("10.0.0.9", "10.9.0.9", "192.0.2.1", "fd00::1")
    ]
    assert found[:3] == ["narrow", "wide", "any"]


def test_ipv6_prefixes_are_of_their_own_family() -> None:
    listener = _simulator("{six: {prefix_ranges: [{address_prefix: 'fd00::', prefix_len: 8}]}, any: }")
    assert _chosen(listener.verdict(_call(address="253.0.0.1"))) == "any"


def test_a_more_specific_chain_that_fails_later_hides_a_wider_one() -> None:
    simulator = _simulator("""
        tls-of-shop: {server_names: [shop.example], transport_protocol: tls, application_protocols: [h2]}
        everything:
    """)
    tls = ClientTls("shop.example", ("http/1.1",))
    verdict = simulator.verdict(_call(tls=tls), runners_up=True)
    assert (verdict.failure, verdict.outcome) == (Failure.NO_FILTER_CHAIN, Outcome.FAILED)
    assert _chosen(simulator.verdict(_call(tls=ClientTls("other.example")))) == "everything"


@pytest.mark.parametrize(
    ("server_name", "chain"),
    [
        ("shop.example", "exact"),
        ("SHOP.example", "exact"),
        ("a.shop.example", "near"),
        ("a.b.shop.example", "near"),
        ("b.example", "far"),
        ("example", "none"),
        ("", "none"),
    ],
)
def test_the_longest_wildcard_of_the_server_name_wins(server_name: str, chain: str) -> None:
    simulator = _simulator("""
        exact: {server_names: [shop.example]}
        near: {server_names: ["*.shop.example"]}
        far: {server_names: ["*.example"]}
        none:
    """)
    assert _chosen(simulator.verdict(_call(tls=ClientTls(server_name)))) == chain


def test_without_an_inspector_nothing_is_known_of_tls_and_http() -> None:
    http = _call(protocol=Protocol.HTTP1)
    assert _chosen(_simulator(_HTTP_OR_NOT).verdict(http)) == "http"
    blind = _simulator(_HTTP_OR_NOT, filters="[]")
    assert _chosen(blind.verdict(http)) == "rest"
    assert _chosen(blind.verdict(_call(tls=ClientTls("shop.example", ("http/1.1",))))) == "rest"


def test_envoy_adds_a_tls_inspector_where_a_match_needs_one() -> None:
    simulator = _simulator("{tls: {transport_protocol: tls}, rest: }", filters="[]")
    assert _chosen(simulator.verdict(_call(tls=ClientTls()))) == "tls"


@pytest.mark.parametrize(
    ("disabled", "chain"),
    [
        ("{any_match: true}", "rest"),
        ("{destination_port_range: {start: 80, end: 81}}", "rest"),
        ("{not_match: {destination_port_range: {start: 80, end: 81}}}", "http"),
        ("{or_match: {rules: [{any_match: true}, {destination_port_range: {start: 1, end: 2}}]}}", "rest"),
        ("{and_match: {rules: [{any_match: true}, {destination_port_range: {start: 1, end: 2}}]}}", "http"),
    ],
)
def test_an_inspector_may_be_switched_off_on_ports(disabled: str, chain: str) -> None:
    filters = yaml.safe_dump([{**_INSPECTORS[1], "filter_disabled": yaml.safe_load(disabled)}])
    assert _chosen(_simulator(_HTTP_OR_NOT, filters=filters).verdict(_call(protocol=Protocol.HTTP1))) == chain


@pytest.mark.parametrize(
    ("source", "port", "chain"),
    [
        ("127.0.0.1", 50000, "local"),
        ("10.0.0.1", 50000, "local"),
        ("192.0.2.9", 50000, "outside"),
        ("192.0.2.9", 7, "outside-7"),
        ("203.0.113.1", 50000, None),
    ],
)
def test_where_a_connection_comes_from_counts_last(source: str, port: int, chain: str | None) -> None:
    simulator = _simulator("""
        local: {source_type: SAME_IP_OR_LOOPBACK}
        outside: {source_type: EXTERNAL, source_prefix_ranges: [{address_prefix: 192.0.2.0, prefix_len: 24}]}
        outside-7:
            source_type: EXTERNAL
            source_prefix_ranges: [{address_prefix: 192.0.2.0, prefix_len: 24}]
            source_ports: [7]
    """)
    assert _chosen(simulator.verdict(_call(source_address=source, source_port=port))) == chain


def test_the_default_chain_takes_what_is_left() -> None:
    simulator = _simulator("{tls: {transport_protocol: tls}}", default=True)
    step = simulator.verdict(_call()).filter_chain
    assert step is not None
    assert (step.name, step.is_default) == ("default", True)


def test_two_chains_with_one_match_are_refused_by_envoy() -> None:
    simulator = _simulator("{one: {server_names: [a.example]}, two: {server_names: [A.example]}, three: }")
    assert simulator.verdict(_call(tls=ClientTls("a.example"))).failure is Failure.DUPLICATE_FILTER_CHAIN
    assert _chosen(simulator.verdict(_call())) == "three"


@pytest.mark.parametrize(
    ("call", "name", "condition", "found"),
    [
        (_call(), "sixes", "destination port", "80"),
        (_call(tls=ClientTls("b.example")), "shop", "server name", "b.example"),
        (
            _call(tls=ClientTls("shop.example")),
            "rest",
            "server name",
            "shop.example, and shop.example is closer",
        ),
    ],
)
def test_the_runner_up_says_where_it_lost(call: Call, name: str, condition: str, found: str) -> None:
    simulator = _simulator("""
        sixes: {destination_port: 6666}
        shop: {server_names: [shop.example]}
        rest:
    """)
    runners_up = simulator.verdict(call, runners_up=True).runners_up
    assert runners_up is not None
    lost = runners_up.filter_chain
    assert lost is not None
    if call.tls is None:
        assert (lost.name, lost.condition, lost.found) == ("shop", "server name", UNNAMED)
    else:
        assert (lost.name, lost.condition, lost.found) == (name, condition, found)


@pytest.mark.parametrize(
    ("more", "failure"),
    [
        ({}, Failure.LISTENER_FILTER_WAITS),
        ({"continue_on_listener_filters_timeout": True}, None),
        (
            {"continue_on_listener_filters_timeout": True, "listener_filters_timeout": "0s"},
            Failure.LISTENER_FILTER_WAITS,
        ),
    ],
)
def test_an_inspector_waits_for_a_client_that_waits(more: dict[str, object], failure: Failure | None) -> None:
    chain = {"filters": [typed("tcp", "tcp", stat_prefix="t", cluster="c")]}
    listener = {
        "name": "listener",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 80}},
        "listener_filters": _INSPECTORS,
        "filter_chains": [chain],
        **more,
    }
    simulator = Simulator(configuration(listeners=yaml.safe_dump([listener])))
    verdict = simulator.verdict(_call(client_speaks_first=False))
    assert verdict.failure is (failure or Failure.NO_CLUSTER)
    assert simulator.verdict(_call()).failure is Failure.NO_CLUSTER
