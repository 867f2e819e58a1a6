"""Who is woken by a change, how often and when; what callbacks may answer. Without a network."""

import asyncio
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from mizzen.xds import NodeRefused, Resource, served_group
from mizzen.xds.callbacks import CallbackError, called, guarded
from mizzen.xds.names import NamePool
from mizzen.xds.served_group import ServedGroup, Waking
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER


class Sleeper:
    """A connection that is asked for some types, and notes when it is woken."""

    def __init__(self, log: list[str], name: str, *type_urls: str) -> None:
        self.stream = SimpleNamespace(channels=dict.fromkeys(type_urls))
        self.wake: Callable[[float], None] = lambda now: log.append(name)


def made(*types: tuple[str, ...]) -> tuple[ServedGroup, list[str]]:
    """A group with a connection for each of these sets of types, named by the alphabet."""
    log: list[str] = []
    groups = ServedGroup("all", NamePool(), Waking())
    for number, type_urls in enumerate(types):
        sleeper: Any = Sleeper(log, "abcdefgh"[number], *type_urls)
        groups.connections[number] = sleeper
    return groups, log


async def turn() -> None:
    await asyncio.sleep(0)


async def test_who_asks_for_what_changed_is_woken_after_this_turn_and_once() -> None:
    all_of_them, log = made((CLUSTER,), (ENDPOINT, LISTENER), (LISTENER,), ())
    all_of_them.changed([CLUSTER])
    all_of_them.changed([ENDPOINT])
    assert log == [], "changes that are made together go together"
    await turn()
    assert log == ["a", "b"]
    await turn()
    assert log == ["a", "b"]
    all_of_them.changed([LISTENER])
    await turn()
    assert log == ["a", "b", "b", "c"], "what changed before is forgotten"


@pytest.mark.parametrize(
    "changes", [[None], [None, [CLUSTER]], [[CLUSTER], None], [[CLUSTER], None, [ENDPOINT]]]
)
async def test_when_everything_may_have_changed_all_are_woken(changes: list[list[str] | None]) -> None:
    all_of_them, log = made((CLUSTER,), (LISTENER,), ())
    for change in changes:
        all_of_them.changed(change)
    await turn()
    assert log == ["a", "b", "c"]
    all_of_them.changed([LISTENER])
    await turn()
    assert log == ["a", "b", "c", "b"]


async def test_of_very_many_some_are_woken_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_group, "_AT_ONCE", 2)
    all_of_them, log = made(*[(CLUSTER,)] * 5)
    all_of_them.changed([CLUSTER])
    seen = []
    for _ in range(5):
        await turn()
        seen.append("".join(log))
    assert seen == ["ab", "abcd", "abcde", "abcde", "abcde"], "the loop has its turn in between"


async def test_who_comes_while_others_are_woken_does_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_group, "_AT_ONCE", 1)
    all_of_them, log = made((CLUSTER,), (CLUSTER,))
    all_of_them.changed([CLUSTER])
    await turn()
    newcomer: Any = Sleeper(log, "new", CLUSTER)
    all_of_them.connections[7] = newcomer
    await turn()
    await turn()
    assert log == ["a", "b"], "it is given the newest state when it is answered"


async def test_groups_that_change_together_are_woken_by_one_callback_and_one_that_fails_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served_group, "_AT_ONCE", 3)
    waking, log = Waking(), []
    loop = asyncio.get_running_loop()
    failures: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: failures.append(context))
    for name in "abcdef":
        group = ServedGroup(name, NamePool(), waking)
        sleeper: Any = Sleeper(log, name, CLUSTER)
        if name == "b":
            sleeper.wake = None
        group.connections[0] = sleeper
        group.changed(None)
    seen = []
    for _ in range(4):
        await turn()
        seen.append("".join(log))
    assert seen == ["a", "acde", "acdef", "acdef"]
    assert len(failures) == 1


def test_where_nobody_is_a_change_needs_no_loop_and_is_not_remembered() -> None:
    all_of_them, log = made()
    all_of_them.check_thread()
    all_of_them.changed([CLUSTER])
    all_of_them.changed(None)

    async def later() -> None:
        sleeper: Any = Sleeper(log, "a", CLUSTER)
        all_of_them.connections[0] = sleeper
        all_of_them.changed([LISTENER])
        await turn()

    asyncio.run(later())
    assert log == []


def test_from_another_thread_a_change_is_refused_with_what_to_do() -> None:
    all_of_them, _ = made((CLUSTER,))
    with pytest.raises(RuntimeError, match=r"use loop\.call_soon_threadsafe\(server\.update"):
        all_of_them.check_thread()


async def test_on_the_loop_it_is_not() -> None:
    made((CLUSTER,))[0].check_thread()


RIGHT = Resource(ENDPOINT, "a", b"swordfish")


@pytest.mark.parametrize(
    ("given", "taken", "logged"),
    [
        (RIGHT, RIGHT, False),
        (None, None, False),
        (Resource(CLUSTER, "a", b"swordfish"), None, True),
        ("no resource", None, True),
        (0, None, True),
    ],
)
def test_only_a_resource_of_the_type_is_an_answer(
    given: Any, taken: Any, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[tuple[str, str]] = []

    def fallback(type_url: str, name: str) -> Any:
        asked.append((type_url, name))
        return given

    with caplog.at_level(logging.ERROR, "mizzen.xds"):
        assert guarded(fallback)(ENDPOINT, "a") is taken
    assert asked == [(ENDPOINT, "a")]
    assert ("fallback gave" in caplog.text) is logged
    assert "swordfish" not in caplog.text


async def test_a_callback_may_be_a_coroutine_or_not_and_may_refuse() -> None:
    async def later(*values: int) -> int:
        return sum(values)

    def refuses() -> None:
        raise NodeRefused("not you")

    async def refuses_later() -> None:
        raise NodeRefused("not you either")

    assert await called("f", later, 1, 2) == 3
    assert await called("f", max, 1, 2) == 2
    with pytest.raises(NodeRefused, match="not you"):
        await called("f", refuses)
    with pytest.raises(NodeRefused, match="not you either"):
        await called("f", refuses_later)


async def test_what_a_callback_raises_else_is_for_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise KeyError("swordfish")

    with pytest.raises(CallbackError) as failed:
        await called("group_of", fails)
    assert str(failed.value) == "group_of failed"
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
    assert "swordfish" in caplog.text
