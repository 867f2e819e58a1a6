"""Which listener takes a connection, captured or not."""

from __future__ import annotations

import pytest

from mizzen.simulate import Call, Capture, Failure, Protocol, Simulator
from tests.unit.simulate.simulated_proxy import Configuration, configuration

_FILTERS = "filters: [{name: tcp, typed_config: {'@type': tcp, stat_prefix: t, cluster: c}}]"
_LISTENERS = f"""
- name: virtualOutbound
  traffic_direction: OUTBOUND
  use_original_dst: true
  address: {{socket_address: {{address: 0.0.0.0, port_value: 15001}}}}
  filter_chains:
    - {{name: loop, filter_chain_match: {{destination_port: 15001}}, {_FILTERS}}}
    - {{name: rest, {_FILTERS}}}
- name: virtualInbound
  traffic_direction: INBOUND
  address: {{socket_address: {{address: 0.0.0.0, port_value: 15006}}}}
  listener_filters: [{{name: original, typed_config: {{'@type': original_dst}}}}]
  filter_chains:
    - {{name: app, filter_chain_match: {{destination_port: 8080}}, {_FILTERS}}}
    - {{name: rest, {_FILTERS}}}
- name: exact
  bind_to_port: false
  address: {{socket_address: {{address: 10.1.0.1, port_value: 80}}}}
  filter_chains: [{{name: exact, {_FILTERS}}}]
- name: wildcard
  bind_to_port: false
  address: {{socket_address: {{address: 0.0.0.0, port_value: 80}}}}
  filter_chains: [{{name: wildcard, {_FILTERS}}}]
- name: six
  bind_to_port: false
  address: {{socket_address: {{address: "fd00:0::1", port_value: 80}}}}
  filter_chains: [{{name: six, {_FILTERS}}}]
- name: bound
  address: {{socket_address: {{address: "::", port_value: 9090, ipv4_compat: true}}}}
  filter_chains: [{{name: bound, {_FILTERS}}}]
- name: socket
  address: {{pipe: {{path: /run/app.sock}}}}
  filter_chains: [{{name: socket, {_FILTERS}}}]
"""


@pytest.fixture(name="messages", scope="module")
def _messages() -> Configuration:
    return configuration(listeners=_LISTENERS)


@pytest.mark.parametrize(
    ("address", "port", "listener", "chain"),
    [
        ("10.1.0.1", 80, "exact", "exact"),
        ("10.1.0.2", 80, "wildcard", "wildcard"),
        ("fd00::1", 80, "six", "six"),
        ("fd00::2", 80, "virtualOutbound", "rest"),
        ("10.1.0.1", 81, "virtualOutbound", "rest"),
        ("10.1.0.1", 15001, "virtualOutbound", "loop"),
    ],
)
def test_a_captured_call_goes_to_the_listener_of_its_destination(
    messages: Configuration, address: str, port: int, listener: str, chain: str
) -> None:
    verdict = Simulator(messages).verdict(Call(port, address, Capture.OUTBOUND, Protocol.TCP))
    assert verdict.listener is not None
    assert verdict.filter_chain is not None
    assert (verdict.listener.name, verdict.listener.accepted_by) == (listener, "virtualOutbound")
    assert verdict.filter_chain.name == chain


@pytest.mark.parametrize(("port", "chain"), [(8080, "app"), (80, "rest")])
def test_an_inbound_call_stays_at_the_inbound_listener(
    messages: Configuration, port: int, chain: str
) -> None:
    verdict = Simulator(messages).verdict(Call(port, "10.1.0.1", Capture.INBOUND, Protocol.TCP))
    assert verdict.listener is not None
    assert verdict.filter_chain is not None
    assert (verdict.listener.name, verdict.filter_chain.name) == ("virtualInbound", chain)


@pytest.mark.parametrize(
    ("address", "port", "listener"),
    [
        ("127.0.0.1", 9090, "bound"),
        ("::1", 9090, "bound"),
        ("/run/app.sock", 0, "socket"),
        ("10.1.0.1", 80, None),
    ],
)
def test_a_client_reaches_only_what_is_bound(
    messages: Configuration, address: str, port: int, listener: str | None
) -> None:
    verdict = Simulator(messages).verdict(Call(port, address, protocol=Protocol.TCP))
    assert (verdict.listener.name if verdict.listener else None) == listener
    assert (verdict.failure is Failure.NO_LISTENER) == (listener is None)


@pytest.mark.parametrize(
    ("call", "name", "condition"),
    [
        (Call(80, "10.1.0.1", Capture.OUTBOUND, Protocol.TCP), "wildcard", "address"),
        (Call(80, "10.1.0.1", protocol=Protocol.TCP), "wildcard", "bind_to_port"),
        (Call(81, "10.1.0.1", Capture.OUTBOUND, Protocol.TCP), "exact", "port"),
        (Call(4, "192.0.2.1", Capture.OUTBOUND, Protocol.TCP), None, None),
    ],
)
def test_the_runner_up_is_the_nearest_listener(
    messages: Configuration, call: Call, name: str | None, condition: str | None
) -> None:
    runners_up = Simulator(messages).verdict(call, runners_up=True).runners_up
    assert runners_up is not None
    lost = runners_up.listener
    assert (lost and lost.name, lost and lost.condition) == (name, condition)
