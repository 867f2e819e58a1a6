"""Proxies that are sent the same are replicas: a change is followed once for all of them."""

from __future__ import annotations

from cProfile import Profile
from pstats import Stats
from typing import Any

import pytest

from mizzen.mesh.proxy.node import Proxy
from mizzen.translator.contained import ContainedTranslation
from mizzen.xds import type_urls
from mizzen.xds.snapshot import Snapshot
from tests.unit.translator.listeners.listener_scenes import document, proxy, service
from tests.unit.translator.listeners.test_shared_translation import Living

FEW, MANY = 8, 72

ELSEWHERE = service("elsewhere.example", 8080, "HTTP", endpoints=("10.9.0.1",))
MOVED = service("elsewhere.example", 8080, "HTTP", endpoints=("10.9.0.2",))


def address(number: int) -> str:
    return f"10.0.{number // 250}.{number % 250 + 1}"


def own(number: int) -> dict[str, Any]:
    return service(f"own{number}.example", 9000, "HTTP", endpoints=(address(number),))


class Connected(Living):
    """So many proxies; the first `serving` of them are each the workload of a service of its own."""

    def __init__(self, proxies: int, serving: int = 0) -> None:
        self.documents = [own(number) for number in range(serving)]
        super().__init__(*self.documents, ELSEWHERE)
        self.contained = ContainedTranslation(self.mesh)
        self.proxies = [proxy(address=address(number)) for number in range(proxies)]
        self.sent = {each: self.contained.snapshot(each) for each in self.proxies}
        assert not list(self.contained.concerned())

    def follow(self, *documents: dict[str, Any]) -> dict[Proxy, Snapshot]:
        """Apply a change; return what the concerned proxies are sent."""
        delta = self.change(*self.documents, *documents)
        self.contained.update(self.mesh, delta)
        return self.asked()

    def asked(self) -> dict[Proxy, Snapshot]:
        made = {each: self.contained.snapshot(each) for each in self.contained.concerned()}
        self.sent.update(made)
        return made

    def calls(self) -> int:
        """How many functions are called for all concerned proxies after a change of one endpoint."""
        self.follow(MOVED)
        delta = self.change(*self.documents, ELSEWHERE)
        self.contained.update(self.mesh, delta)
        profile = Profile()
        profile.enable()
        made = self.asked()
        profile.disable()
        assert len(made) == len(self.proxies)
        return Stats(profile).total_calls  # type: ignore[attr-defined, no-any-return]


@pytest.mark.counting
@pytest.mark.parametrize(("serving", "most"), [(False, 30), (True, 100)], ids=["replicas", "workloads"])
def test_a_change_of_one_endpoint_costs_each_further_proxy_few_calls(serving: bool, most: int) -> None:
    few, many = (Connected(proxies, proxies if serving else 0).calls() for proxies in (FEW, MANY))
    each = (many - few) / (MANY - FEW)
    assert each < most, f"{each} for each further proxy"


def test_replicas_are_sent_the_same_object() -> None:
    connected = Connected(4, serving=1)
    made = connected.follow(MOVED)
    first, *others = connected.proxies
    assert made.keys() == set(connected.proxies)
    assert len({id(made[each]) for each in others}) == 1
    assert made[first] is not made[others[0]]
    assert made[first].collection(type_urls.ENDPOINT) is made[others[0]].collection(type_urls.ENDPOINT)


def test_a_proxy_that_gets_a_service_is_a_replica_of_those_no_longer() -> None:
    connected = Connected(3)
    before = dict(connected.sent)
    alone, *others = connected.proxies
    # Nobody sees the service of another namespace but its own workload.
    hidden = service("own.example", 9000, "HTTP", endpoints=(address(0),))
    hidden["spec"]["exportTo"] = ["~"]
    made = connected.follow(ELSEWHERE, hidden)
    listeners = made[alone].collection(type_urls.LISTENER)
    assert listeners.version != before[alone].collection(type_urls.LISTENER).version
    for each in others:
        assert connected.sent[each].collection(type_urls.LISTENER) is before[each].collection(
            type_urls.LISTENER
        )
    again = connected.follow(ELSEWHERE)
    assert set(again) >= {alone}
    assert connected.sent[alone] is connected.sent[others[0]]


def test_a_policy_of_one_leaves_the_snapshots_of_its_former_replicas() -> None:
    connected = Connected(3, serving=3)
    labelled = proxy(address=address(7), labels={"app": "one"})
    connected.sent[labelled] = connected.contained.snapshot(labelled)
    spec = {"selector": {"matchLabels": {"app": "one"}}, "mtls": {"mode": "STRICT"}}
    policy = document("PeerAuthentication", "p", spec) | {"apiVersion": "security.istio.io/v1"}
    before = dict(connected.sent)
    made = connected.follow(ELSEWHERE, policy)
    assert connected.sent[labelled] is not before[labelled]
    assert all(
        connected.contained.snapshot(each) is before[each] for each in connected.proxies if each not in made
    )


def test_what_the_last_of_some_replicas_was_sent_is_forgotten() -> None:
    connected = Connected(3, serving=3)
    translation = connected.contained.of(connected.proxies[0])
    memo = len(translation.memo)
    connected.follow(MOVED)
    for _ in connected.contained.forget_unused(connected.proxies[:1]):
        pass
    connected.sent = {each: connected.sent[each] for each in connected.proxies[:1]}
    assert len(translation._served._served) == 1
    assert len(translation.memo) < memo
    made = connected.follow(ELSEWHERE)
    assert made.keys() == {connected.proxies[0]}


def test_what_only_one_asks_about_is_still_news_for_the_next_push() -> None:
    """Somebody asks for the resources of a proxy between a change and its push."""
    connected = Connected(3)
    delta = connected.change(MOVED)
    connected.contained.update(connected.mesh, delta)
    asked = connected.contained.snapshot(connected.proxies[0])
    made = connected.asked()
    assert made.keys() == set(connected.proxies)
    assert all(each is asked for each in made.values())
