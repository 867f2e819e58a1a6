"""Proxies that have gone leave nothing, and the memo is as large as what is alive."""

from __future__ import annotations

import gc
from collections import deque
from typing import Any

from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.scope.sidecar_scope import SidecarScope
from mizzen.translator.contained import ContainedTranslation
from mizzen.translator.shared.outbound import OutboundResources
from mizzen.translator.translation import Translation
from mizzen.xds.snapshot import Collection, Snapshot
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, ROUTE
from tests.unit.translator.listeners.listener_scenes import document, mesh_of, proxy, service
from tests.unit.translator.listeners.test_shared_translation import Living

SERVICES = [service(f"s{number}.example", 8080, "HTTP", endpoints=("10.9.0.1",)) for number in range(5)]


def invented(number: int) -> Proxy:
    return proxy(NAMESPACE=f"invented-{number}")


def alive(*kinds: type) -> int:
    gc.collect()
    return sum(isinstance(each, kinds) for each in gc.get_objects())


def test_proxies_that_have_gone_leave_nothing_though_the_mesh_stays_as_it_is() -> None:
    translation = ContainedTranslation(mesh_of(SERVICES))
    stays = proxy()
    given = translation.snapshot(stays)
    kinds = (OutboundResources, SidecarScope, Collection)
    before = alive(*kinds)
    for number in range(20):
        translation.snapshot(invented(number))
    assert translation.profiles == 21
    deque(translation.forget_unused([stays]), maxlen=0)
    assert translation.profiles == 1
    assert alive(*kinds) <= before + 3  # what the last one shares with all
    after = translation.snapshot(stays)
    assert [after.collection(each.type_url) for each in given] == [
        given.collection(each.type_url) for each in given
    ]


def test_what_connected_proxies_were_given_stays_theirs() -> None:
    living, stays = Living(*SERVICES), proxy()
    given = living.collections(stays)
    living.translation.snapshot(proxy())
    living.translation.forget_unused([stays])
    assert living.translation._overlays
    assert all(x is y for x, y in zip(living.collections(stays), given, strict=True))


def test_when_nobody_has_gone_nothing_is_built_again() -> None:
    living = Living(*SERVICES)
    given = living.translation.snapshot(proxy())
    living.translation.forget_unused([proxy()])
    other = living.translation.snapshot(invented(0))
    for type_url in (CLUSTER, ENDPOINT, ROUTE):
        own, others = given.collection(type_url).resources, other.collection(type_url).resources
        same = [name for name, each in own.items() if others.get(name) is each]
        assert len(same) >= len(SERVICES) or type_url == ROUTE


def test_what_is_remembered_is_what_is_alive() -> None:
    living, one = Living(*SERVICES), proxy()
    living.change(*SERVICES, rule(0))
    living.collections(one)
    size = len(living.translation.memo)
    for number in range(1, 20):
        living.change(*SERVICES, rule(number))
        living.collections(one)
        assert len(living.translation.memo) == size
    translation = Translation(mesh_of(SERVICES))
    translation.snapshot(proxy())
    translation.forget_unused([])
    assert len(translation.memo) == 0


def rule(number: int) -> dict[str, Any]:
    """A VirtualService, a different one for each number."""
    route = [{"destination": {"host": f"s{number % 5}.example"}}]
    spec = {"hosts": ["s0.example"], "http": [{"name": f"version-{number}", "route": route}]}
    return document("VirtualService", "v", spec)


def whole(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    return {(each.type_url, each.name): each.version for each in snapshot}


def test_what_was_prepared_in_steps_is_what_is_made_at_once() -> None:
    many = [service(f"s{number}.example", 8000 + number, "HTTP") for number in range(120)]
    translation = Translation(mesh_of(many))
    assert not translation.knows(proxy())
    assert len(list(translation.prepare(proxy()))) > 30
    assert translation.knows(proxy())
    assert whole(translation.snapshot(proxy())) == whole(Translation(mesh_of(many)).snapshot(proxy()))


def test_changes_come_between_the_steps() -> None:
    many = [service(f"s{number}.example", 8000 + number, "HTTP") for number in range(120)]
    living = Living(*many)
    steps = living.translation.prepare(proxy())
    next(steps)
    living.change(*many[:50], service("s0.example", 9000, "HTTP"), *many[50:100])
    next(steps)
    living.change(*many[:99], service("more.example", 8000, "HTTP"))
    deque(steps, maxlen=0)
    assert living.translation.knows(proxy())
    assert whole(living.translation.snapshot(proxy())) == whole(Translation(living.mesh).snapshot(proxy()))


def test_a_preparation_that_is_given_up_leaves_nothing() -> None:
    living = Living(*SERVICES)
    steps = living.translation.prepare(proxy())
    next(steps)
    del steps
    assert not living.translation._shared._building
    assert not living.translation.knows(proxy())
