"""What a memo gives to several, and when it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import ref

import pytest

from mizzen.mesh.service import EndpointPool
from mizzen.translator.base.memo import Memo
from mizzen.xds.resource import Resource
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.unit.translator.listeners.listener_scenes import document, proxy, service
from tests.unit.translator.listeners.test_shared_translation import Living


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Made:
    text: str


def made(text: str, number: int) -> Made:
    return Made(text * number)


def test_arguments_are_the_key() -> None:
    memo = Memo()
    one = memo(made, "a", 2)
    assert one.text == "aa"
    assert memo(made, "a", 2) is one
    assert memo(made, "a", 3) is not one
    assert memo(Made, "aa") is not one


def test_a_value_goes_with_the_last_who_holds_it() -> None:
    memo = Memo()
    one = memo(made, "a", 2)
    other, dead = memo(made, "a", 2), ref(one)
    del one
    assert len(memo) == 1
    assert dead() is other
    del other
    assert dead() is None
    assert len(memo) == 0


def test_what_raises_leaves_nothing() -> None:
    memo = Memo()
    with pytest.raises(TypeError):
        memo(made, "a", "b")  # type: ignore[arg-type]
    assert len(memo) == 0


A = service("a.example", 8080, "HTTP", endpoints=("10.9.0.1",))
A_MOVED = service("a.example", 8080, "HTTP", endpoints=("10.9.0.2",))
B = service("b.example", 8080, "HTTP", endpoints=("10.9.0.3",))


def sidecar(namespace: str) -> object:
    return proxy(NAMESPACE=namespace)


def resource(living: Living, one: object, type_url: str, name: str) -> Resource:
    found = living.translation.snapshot(one).get(type_url, name)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_kinds_of_proxies_share_the_very_same_objects() -> None:
    living = Living(A, B)
    here, there = sidecar("here"), sidecar("there")
    for type_url, name in (
        (CLUSTER, "outbound|8080||a.example"),
        (ENDPOINT, "outbound|8080||a.example"),
        (LISTENER, "0.0.0.0_8080"),
    ):
        assert resource(living, here, type_url, name) is resource(living, there, type_url, name)
    assert living.translation.profiles == 2
    living.change(A_MOVED, B)
    one, other = (resource(living, each, ENDPOINT, "outbound|8080||a.example") for each in (here, there))
    assert one is other


def test_superseded_values_are_gone_at_once() -> None:
    living = Living(A, B, rule("one"))
    proxies = (sidecar("here"), sidecar("there"))
    for each in proxies:
        living.collections(each)
    shared = [live.resources for live in living.translation._shared._live.values()]
    served = [each.served["default", "a.example"] for each in shared]
    assert served[0].assignments is served[1].assignments
    watched = {
        "load assignments": ref(served[0].assignments),
        "endpoints": ref(living.mesh.registry.pools["default", "a.example"]),
        "routes": ref(next(iter(next(iter(shared[0].cached._ports.values())).rules.values()))),
    }
    del served
    living.change(A_MOVED, B, rule("two"))
    living.collections(proxies[0])
    assert all(each() is not None for each in watched.values()), "the other kind has them still"
    living.collections(proxies[1])
    assert [what for what, each in watched.items() if each() is not None] == []
    assert isinstance(living.mesh.registry.pools["default", "a.example"], EndpointPool)


def test_a_route_configuration_goes_with_its_port() -> None:
    living = Living(A, B)
    one = sidecar("here")
    dead = ref(resource(living, one, ROUTE, "8080"))
    living.change(service("a.example", 9090, "HTTP"))
    living.collections(one)
    assert dead() is None


def rule(name: str) -> dict[str, object]:
    route = [{"destination": {"host": "a.example"}}]
    return document("VirtualService", "v", {"hosts": ["a.example"], "http": [{"name": name, "route": route}]})
