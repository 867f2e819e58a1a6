"""What holds for calls on every proxy of the golden cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import mizzen
from mizzen.simulate import Call, Capture, ClientTls, Failure, Outcome, Protocol, Simulator

_CASES = sorted(path.parent for path in (Path(__file__).parents[2] / "golden").glob("*/mesh.yaml"))
_NEVER = {Failure.NO_ROUTE_CONFIGURATION, Failure.DUPLICATE_FILTER_CHAIN, Failure.NO_FILTER}
_NAMED = {"authorization-policies": {"envoy.filters.http.ext_authz", "envoy.filters.network.ext_authz"}}
"""The filters that are named and not judged, by the case that has them: authorizers outside."""


def _resources(case: Path) -> mizzen.Resources:
    mesh_config = case / "mesh-config.yaml"
    mesh = mizzen.load(case / "mesh.yaml", mesh_config=mesh_config if mesh_config.exists() else None)
    node = yaml.safe_load((case / "node.yaml").read_text(encoding="utf-8"))
    return mizzen.translate(mesh, mizzen.Proxy.from_node(node))


def _calls(resources: mizzen.Resources) -> Iterator[Call]:
    """Yield calls to the address of each listener and of each destination that a filter chain names, for each
    domain and server name that there is."""
    hosts = {
        domain.replace("*", "any")
        for route in resources.routes
        for host in route.virtual_hosts
        for domain in host.domains
    }
    chains = [chain for listener in resources.listeners for chain in listener.filter_chains]
    matches = [chain.filter_chain_match for chain in chains]
    names = {name.replace("*", "any") for match in matches for name in match.server_names}
    known = {protocol for match in matches for protocol in match.application_protocols}
    protocols = tuple(sorted(known | {"http/1.1"}))
    for address, port in sorted(set(_places(resources.listeners))):
        for capture in Capture:
            for host in sorted(hosts) or ["nobody.example"]:
                yield Call(port, address, capture, authority=host)
            for name in ("", *sorted(names)):
                yield Call(port, address, capture, tls=ClientTls(name, ("http/1.1",)), authority=name)
                yield Call(port, address, capture, tls=ClientTls(name, protocols), authority=name)
                yield Call(port, address, capture, Protocol.HTTP3, ClientTls(name), authority=name)
            yield Call(port, address, capture, Protocol.TCP)


def _places(listeners: list[Any]) -> Iterator[tuple[str, int]]:
    for listener in listeners:
        socket = listener.address.socket_address
        yield socket.address.replace("0.0.0.0", "192.0.2.1"), socket.port_value
        for chain in listener.filter_chains:
            match = chain.filter_chain_match
            for prefix in match.prefix_ranges:
                yield prefix.address_prefix, match.destination_port.value or socket.port_value
            yield "192.0.2.1", match.destination_port.value or socket.port_value


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_every_call_is_judged_and_every_chain_and_route_leads_somewhere(case: Path) -> None:
    resources = _resources(case)
    simulator = Simulator(resources)
    clusters = {cluster.name for cluster in resources.clusters}
    reached = False
    for call in _calls(resources):
        verdict = simulator.verdict(call, runners_up=True)
        assert verdict.failure not in _NEVER, call
        if verdict.outcome is Outcome.UNKNOWN:
            assert verdict.unjudged
            assert set(verdict.unjudged) <= _NAMED.get(case.name, set()), verdict.unjudged
        chosen = {each.cluster.name for each in verdict.destinations}
        assert chosen <= clusters, (call, chosen - clusters)
        reached = reached or bool(chosen) or verdict.answered_by != ""
    assert reached
