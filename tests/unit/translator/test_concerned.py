"""After a change those proxies are asked for that it concerns, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.fault_search import Changed
from mizzen.mesh.proxy.node import Proxy
from mizzen.translator.own import resources as workload_resources
from tests.unit.translator.listeners.listener_scenes import document, gateway, proxy, router, server, service
from tests.unit.translator.listeners.test_shared_translation import Living

SERVICES = tuple(
    service(f"s{number}.example", 8080, "HTTP", endpoints=(f"10.0.0.{number}",)) for number in range(5)
)
ELSEWHERE = service("elsewhere.example", 8080, "HTTP", endpoints=("10.9.0.1",))
WORKLOADS = [proxy(address=f"10.0.0.{number}", labels={"app": f"s{number}"}) for number in range(5)]
ABROAD = proxy(NAMESPACE="abroad")


class Pushed(Living):
    """A mesh that changes, and proxies that were given what they are to have."""

    def __init__(self, *documents: dict[str, Any], proxies: list[Proxy] | None = None) -> None:
        super().__init__(*documents)
        self._documents = documents
        for each in proxies or [*WORKLOADS, ABROAD]:
            self.translation.translate(each)
        assert self.concerned() == []

    def concerned(self, *more: dict[str, Any]) -> list[Proxy]:
        """Those that a change to these documents besides concerns, each once."""
        if more:
            self.change(*self._documents, *more)
        found = list(self.translation.concerned())
        assert len(set(found)) == len(found)
        for each in found:
            self.translation.translate(each)
        return found


def peer_authentication(app: str, mode: str) -> dict[str, Any]:
    spec = {"selector": {"matchLabels": {"app": app}}, "mtls": {"mode": mode}}
    return document("PeerAuthentication", "p", spec) | {"apiVersion": "security.istio.io/v1"}


def test_what_is_for_one_workload_changes_that_one_alone() -> None:
    living = Pushed(*SERVICES)
    first = living.concerned(peer_authentication("s3", "DISABLE"))
    before = {each: living.collections(each) for each in WORKLOADS}
    found = living.concerned(peer_authentication("s3", "STRICT"))
    assert WORKLOADS[3] in first
    assert WORKLOADS[3] in found
    assert ABROAD not in (*first, *found)
    assert [each for each in WORKLOADS if living.collections(each) != before[each]] == [WORKLOADS[3]]


def test_a_rule_that_one_namespace_sees_concerns_that_namespace() -> None:
    living = Pushed(*SERVICES)
    rule = {"host": "s1.example", "exportTo": ["."], "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    assert set(living.concerned(document("DestinationRule", "r", rule))) == set(WORKLOADS)


def test_what_nobody_reads_concerns_nobody() -> None:
    living = Pushed(*SERVICES)
    rule = {"host": "unknown.example", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    assert living.concerned(document("DestinationRule", "r", rule)) == []


def test_what_all_share_concerns_all_once() -> None:
    living = Pushed(*SERVICES)
    assert set(living.concerned(ELSEWHERE)) == {*WORKLOADS, ABROAD}


def test_a_gateway_concerns_what_it_selects() -> None:
    edge = router()
    living = Pushed(*SERVICES, proxies=[*WORKLOADS, edge])
    assert living.concerned(gateway(server(80, "HTTP", "x.example"))) == [edge]


def test_who_has_been_forgotten_is_not_asked_for() -> None:
    living = Pushed(*SERVICES)
    living.translation.forget_unused(WORKLOADS[:2])
    assert set(living.concerned(ELSEWHERE)) == set(WORKLOADS[:2])


def test_another_mesh_configuration_concerns_all() -> None:
    living = Pushed(*SERVICES)
    config = MeshConfig.model_validate({"connectTimeout": "3s"})
    living.mesh, _ = living.mesh.updated(Changed(()), config)
    living.translation.update(living.mesh)
    assert set(living.concerned()) == {*WORKLOADS, ABROAD}


def test_who_cannot_be_translated_for_is_asked_for_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    living = Pushed(*SERVICES)
    broken = WORKLOADS[2]
    with monkeypatch.context() as patched:
        ports = workload_resources.inbound_ports

        def fail(of: Proxy, *more: Any) -> Any:
            if of is broken:
                raise RuntimeError("a fault")
            return ports(of, *more)

        patched.setattr(workload_resources, "inbound_ports", fail)
        living.change(*SERVICES, peer_authentication("s2", "STRICT"))
        assert broken in set(living.translation.concerned())
        with pytest.raises(RuntimeError, match="a fault"):
            living.translation.translate(broken)
        assert list(living.translation.concerned()) == [broken]
    assert living.concerned() == [broken]
    assert living.concerned() == []
