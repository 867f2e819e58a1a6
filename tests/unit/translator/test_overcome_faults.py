"""Faults that no document causes, or that pass: they are told once, and everybody is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.translator.own import resources as workload_resources
from mizzen.translator.shared import outbound, proxy_classes
from mizzen.translator.translation import Translation
from tests.unit.translator.contained_world import (
    World,
    gateway,
    is_bad,
    secret,
    service,
    sidecar,
    tls_gateway,
    versions,
    virtual_service,
)


def test_a_fault_of_following_a_change_blames_no_document(monkeypatch: pytest.MonkeyPatch) -> None:
    world, proxy = World(a=service("a")), sidecar("default")
    world.clusters(proxy)

    def fails(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(outbound.OutboundResources, "_follow", fails)
    world.write(b=service("b"))
    assert world.clusters(proxy) == {"a:80", "b:80"}
    assert world.translation.withheld == ()
    [fault] = world.translation.overcome()
    assert fault.endswith("RuntimeError"), "it is said all the same"
    assert "test_overcome_faults.py" in fault
    assert world.translation.overcome() == ()


def test_a_fault_in_finding_whom_a_change_concerns_is_told_and_everyone_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def raising(*_: Any) -> None:
        raise RuntimeError("a fault")

    world, proxies = World(a=service("a")), [sidecar("default"), gateway("a")]
    for proxy in proxies:
        world.clusters(proxy)
    with monkeypatch.context() as broken:
        broken.setattr(proxy_classes.NamedDifference, "between", raising)
        world.write(b=service("b"))
    [fault] = world.translation.overcome()
    assert "in raising" in fault
    assert fault.endswith("RuntimeError"), "the message may quote a secret"
    assert set(world.translation.concerned()) == set(proxies)
    for proxy in proxies:
        assert world.clusters(proxy) == {"a:80", "b:80"}
    world.write(c=service("c"))
    assert world.translation.overcome() == ()


def fails_first(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Let the first call of a method of OutboundResources fail."""
    real = getattr(outbound.OutboundResources, method)
    due = [RuntimeError("a fault")]

    def failing(self: Any, *arguments: Any) -> Any:
        if due:
            raise due.pop()
        return real(self, *arguments)

    monkeypatch.setattr(outbound.OutboundResources, method, failing)


def test_a_fault_of_following_that_a_second_attempt_does_not_have_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, proxy = World(a=service("a")), sidecar("default")
    world.clusters(proxy)
    fails_first(monkeypatch, "update")
    world.write(b=service("b"))
    assert list(world.translation.concerned()) == [proxy]
    assert world.clusters(proxy) == {"a:80", "b:80"}
    [fault] = world.translation.overcome()
    assert "in failing" in fault
    assert fault.endswith("RuntimeError")
    assert world.translation.withheld == ()
    assert world.translation.overcome() == ()


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_a_fault_of_preparing_that_a_second_attempt_does_not_have_is_told_once(
    monkeypatch: pytest.MonkeyPatch, *, leaves: bool
) -> None:
    world, proxy = World(a=service("a")), sidecar("default")
    fails_first(monkeypatch, "build")
    assert list(world.translation.prepare(proxy)) == []
    if leaves:
        assert list(world.translation.forget_unused([])) == []
    else:
        assert world.clusters(proxy) == {"a:80"}
    [fault] = world.translation.overcome()
    assert "in failing" in fault
    assert world.translation.overcome() == ()


def test_a_fault_that_stays_is_told_once_though_it_was_prepared_for(fails: Any) -> None:
    fails(is_bad)
    world, proxy = World(a=service("a"), bad=service("bad", 666)), sidecar("default")
    assert list(world.translation.prepare(proxy)) == []
    assert world.clusters(proxy) == {"a:80"}
    assert [one.key.name for one in world.translation.withheld] == ["bad"]
    assert world.translation.overcome() == ()


@pytest.fixture
def fail_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets the resources of the next workload fail, whatever its documents are."""
    build = workload_resources.rules_without_keys
    due: list[Exception] = []

    def raising(*arguments: Any) -> Any:
        if due:
            raise due.pop()
        return build(*arguments)

    monkeypatch.setattr(workload_resources, "rules_without_keys", raising)
    return lambda: due.append(RuntimeError("a fault"))


def test_a_fault_that_passes_is_told_once(fail_once: Callable[[], None]) -> None:
    world, proxy = World(a=service("a")), sidecar("default")
    fail_once()
    assert world.clusters(proxy) == {"a:80"}
    assert len(world.translation.overcome()) == 1
    world.write(b=service("b"))
    assert list(world.translation.concerned()) == [proxy]
    assert world.clusters(proxy) == {"a:80", "b:80"}
    assert world.translation.overcome() == ()


def test_a_fault_that_passes_does_not_stay_with_what_replicas_share(fail_once: Callable[[], None]) -> None:
    """Another replica still holds the last good value, because it has not been asked for yet."""
    world = World(a=service("a"), g=tls_gateway("g"), v=virtual_service("/a"))
    translation, proxy, replica = Translation(world.mesh), gateway("a"), gateway("b")
    for each in (proxy, replica):
        translation.translate(each)
    world.write(v=virtual_service("/b"))
    translation.update(world.mesh)
    fail_once()
    with pytest.raises(RuntimeError, match="a fault"):
        translation.translate(proxy)
    world.write(s=secret("unrelated"))
    translation.update(world.mesh)
    assert set(translation.concerned()) == {proxy, replica}
    anew = versions(Translation(world.mesh).snapshot(proxy))
    for each in (proxy, replica):
        assert versions(translation.snapshot(each)) == anew
