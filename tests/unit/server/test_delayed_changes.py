"""How long a change waits that leads calls nowhere."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from mizzen.config import ConfigChange
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.snapshot import Mesh
from mizzen.server import delayed_changes
from mizzen.server.delayed_changes import DelayedChanges
from mizzen.server.faults import Faults
from tests.unit.mesh.conftest import load

GRACE = DelayedChanges.GRACE
SERVICE = """
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}]
"""
EMPTY = SERVICE.replace("endpoints: [{address: 10.0.0.1}]", "endpoints: []")
OTHER = SERVICE.replace("web", "other")


class World:
    def __init__(self) -> None:
        self.mesh = Mesh.build(load(SERVICE))
        self.faults = Faults()
        self.delayed = DelayedChanges(self.mesh, self.faults)

    def write(self, text: str, seen: float, now: float | None = None) -> MeshDelta | None:
        self.mesh, delta = self.mesh.updated(ConfigChange(tuple(load(text)), ()))
        return self.taken(delta, seen, seen if now is None else now)

    def later(self, now: float) -> MeshDelta | None:
        return self.taken(None, now, now)

    def taken(self, delta: MeshDelta | None, seen: float, now: float) -> MeshDelta | None:
        change = self.delayed.take(self.mesh, delta, seen, now)
        if change is None:
            return None
        assert change.first <= change.latest <= now
        self.delayed.served(self.mesh)
        return change.delta


def names(delta: MeshDelta | None) -> list[str]:
    assert delta is not None
    return sorted(new.name for _, new in delta.documents if new is not None)


def test_a_change_that_breaks_nothing_is_served_at_once() -> None:
    world = World()
    assert names(world.write(OTHER, 1.0)) == ["other"]
    assert not world.delayed.is_delaying
    assert world.later(2.0) is None


def test_one_that_breaks_calls_waits_for_the_grace() -> None:
    world = World()
    assert world.write(EMPTY, 1.0) is None
    assert world.delayed.is_delaying
    assert world.later(1.0 + GRACE * 0.9) is None
    assert names(world.later(1.0 + GRACE)) == ["web"]
    assert not world.delayed.is_delaying


def test_it_waited_already_if_it_was_seen_some_time_ago() -> None:
    assert names(World().write(EMPTY, 1.0, now=1.0 + GRACE)) == ["web"]


def test_what_mends_it_lets_both_go_as_one_change() -> None:
    world = World()
    assert world.write(EMPTY, 1.0) is None
    moved = SERVICE.replace("10.0.0.1", "10.0.0.2")
    delta = world.write(f"{OTHER}\n---{moved}", 1.1)
    assert names(delta) == ["other", "web"]
    assert delta is not None
    [old] = [old for old, new in delta.documents if old is not None]
    assert old.spec.endpoints[0].address == "10.0.0.1", "the difference is that from what is served"


def test_what_is_taken_back_leaves_nothing_to_serve() -> None:
    world = World()
    assert world.write(EMPTY, 1.0) is None
    delta = world.write(SERVICE, 1.1)
    assert delta is not None
    assert not world.delayed.is_delaying


def test_changes_that_go_on_are_waited_for_a_bounded_time() -> None:
    world, now = World(), 1.0
    assert world.write(EMPTY, now) is None
    while world.write(OTHER.replace("10.0.0.1", f"10.0.1.{int(now * 10)}"), now) is None:
        now += GRACE * 0.8
        assert now < 10
    assert DelayedChanges.LONGEST <= now - 1.0 <= DelayedChanges.LONGEST + GRACE


def test_a_fault_in_judging_is_logged_and_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> bool:
        raise RuntimeError("a fault")

    monkeypatch.setattr(delayed_changes, "has_new_dead_ends", fails)
    with capture_logs() as lines:
        world = World()
        assert names(world.write(EMPTY, 1.0)) == ["web"]
    assert [(line["log_level"], line["exc_info"]) for line in lines] == [("error", True)]
    assert world.faults.number == 1
