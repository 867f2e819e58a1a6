import gc
import weakref
from collections.abc import Iterator

import pytest

from mizzen.server.garbage import Garbage


class Thing:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.me = self


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def garbage(clock: Clock) -> Iterator[Garbage]:
    made = Garbage(clock)
    yield made
    made.restore()


def test_what_has_settled_is_passed_over(garbage: Garbage) -> None:
    kept = [Thing() for _ in range(1000)]
    assert not gc.isenabled(), "nothing is collected while starting"
    garbage.settle()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000
    assert all(thing.me is thing for thing in kept)


def test_what_refers_to_itself_goes_within_the_hour(garbage: Garbage, clock: Clock) -> None:
    garbage.settle()
    thing = Thing()
    gone = weakref.ref(thing)
    garbage.settle()
    del thing
    gc.collect()
    assert gone() is not None, "it is passed over"
    clock.now = 3601
    garbage.settle()
    assert gone() is None


def test_everything_is_looked_at_once_an_hour_only(garbage: Garbage, clock: Clock) -> None:
    garbage.settle()
    for now, expected in ((3599, False), (3600, True), (3601, False), (7199, False), (7200, True)):
        thing = Thing()
        gone = weakref.ref(thing)
        gc.freeze()
        del thing
        clock.now = now
        garbage.settle()
        assert (gone() is None) is expected, now
        if not expected:
            gc.unfreeze()


def test_the_collector_works_less_while_serving_and_as_before_afterwards(clock: Clock) -> None:
    before = gc.get_threshold()
    garbage = Garbage(clock)
    garbage.settle()
    assert gc.get_threshold()[0] > before[0]
    gc.disable()
    garbage.restore()
    assert gc.get_threshold() == before
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_giving_back_collects_and_gives_free_memory_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr("mizzen.server.garbage._trim", lambda: done.append("trim"))
    monkeypatch.setattr(gc, "collect", lambda *_: done.append("collect"))
    keeper = Garbage()
    try:
        keeper.give_back()
    finally:
        keeper.restore()
    assert done[-2:] == ["collect", "trim"]
