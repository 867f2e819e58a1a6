"""Clients that cost much: their work is bounded, and nobody else waits for it."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from mizzen.xds import Resource, Snapshot, Stuck, Unordered
from mizzen.xds import turns as module
from mizzen.xds.connection import in_parts
from mizzen.xds.group import Group
from mizzen.xds.turns import REST, Turns
from mizzen.xds.type_urls import CLUSTER, ENDPOINT
from mizzen.xds.wire import DeltaRequest, SotwRequest
from tests.unit.xds.test_xds_connection import Peers, values
from tests.unit.xds.xds_driver import Driver, Said, cluster

NAMES = tuple(f"invented-{number}" for number in range(1_000))
AT_ONCE = 200


class TestTurns:
    async def test_who_came_first_has_the_first_turn_and_the_loop_does_others_in_between(self) -> None:
        turns = Turns()
        done: list[str] = []

        async def costly(name: str) -> None:
            async with turns.turn():
                done.append(name)

        async def good() -> None:
            while len(done) < 4:
                done.append("good")
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(costly("first"))
            tasks.create_task(costly("second"))
            tasks.create_task(good())
        assert done[:2] == ["first", "good"]
        assert "second" in done
        assert turns.taken == 2

    async def test_after_a_turn_the_loop_rests_from_all_costly_clients(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        times: Iterator[float] = iter((1.0, 3.0))
        rests: list[float] = []
        turns = Turns(lambda: next(times))

        def call_later(delay: float, callback: Callable[[], Any]) -> None:
            rests.append(delay)

        monkeypatch.setattr(asyncio.get_running_loop(), "call_later", call_later)
        async with turns.turn():
            pass
        assert rests == [2.0 * REST]

    async def test_who_goes_while_it_waits_holds_up_nobody(self) -> None:
        turns = Turns()

        async def costly() -> None:
            async with turns.turn():
                pass

        async with turns.turn():
            gone = asyncio.create_task(costly())
            await asyncio.sleep(0)
            gone.cancel()
        async with asyncio.timeout(30):
            await costly()


class TestAClientThatRefuses:
    async def test_its_refusal_waits_for_its_turn_and_a_good_client_does_not(self) -> None:
        peers = Peers()
        async with peers.connected() as bad, peers.connected() as good:
            good_first, bad_first = await good.accept(), await bad.answer()
            assert good_first.resources == bad_first.resources
            turns = peers.turns
            async with turns.turn():
                bad.say(bad_first.nonce, error="no")
                peers.change("2")
                assert values(await good.accept()) == [b"a 2"]
                assert not peers.group.has_rejected
            while not peers.group.has_rejected:
                await asyncio.sleep(0)
            assert turns.taken >= 2

    async def test_what_is_due_at_a_certain_time_comes_at_that_time(self) -> None:
        """Here it is the notice that no answer has come. The end of a retained cluster is another case."""
        peers = Peers(Unordered(warm_timeout=timedelta(milliseconds=20)))
        refused = [cluster(name) for name in NAMES]
        peers.group = Group("all", Snapshot.of([*refused, cluster("a")]))
        peers.group.reject(refused, "no")
        assert peers.group.costly
        async with peers.connected() as wire:
            await wire.answer()
            while not any(isinstance(event, Stuck) for event in peers.events):
                await asyncio.sleep(0.001)

    def test_a_new_snapshot_costs_nothing_before_it_asks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that refused a thousand resources makes nobody wait who sets the snapshots of many groups."""
        resources = [cluster(name) for name in NAMES]
        group = Group("bad", Snapshot.of(resources))
        group.reject(resources, "no")
        looked: list[Resource] = []
        renew = Group._renew

        def counted(self: Group, refused: Resource) -> Any:
            looked.append(refused)
            return renew(self, refused)

        monkeypatch.setattr(Group, "_renew", counted)
        group.set(Snapshot.of([*resources, cluster("new")]))
        assert not looked
        assert group.costly
        assert group.effective is not None
        assert [each.name for each in group.effective] == ["new"]
        assert len(looked) == len(resources)

    def test_what_is_refused_before_the_new_snapshot_was_looked_at_is_not_sent(self) -> None:
        first = [cluster(name) for name in NAMES[:3]]
        group = Group("bad", Snapshot.of(first))
        group.reject(first[:1], "no")
        group.set(Snapshot.of([*first, cluster("new")]))
        group.reject(first[1:2], "no")
        assert group.effective is not None
        assert {each.name for each in group.effective} == {NAMES[2], "new"}


class TestAClientThatAsksForManyNames:
    @pytest.fixture(params=[False, True], ids=["sotw", "delta"])
    def driver(self, request: pytest.FixtureRequest) -> Driver:
        self.asked: list[str] = []

        def empty(type_url: str, name: str) -> Resource:
            self.asked.append(name)
            return Resource(type_url, name, f"{name} is empty".encode())

        return Driver(cluster("a"), delta=request.param, fallback=empty)

    def all_of(self, driver: Driver, said: list[Said]) -> list[str]:
        found: list[str] = []
        while said:
            (one,) = said
            assert len(self.asked) <= AT_ONCE + 1
            assert len(one.values) <= AT_ONCE + 1
            self.asked.clear()
            found += one.values
            said = driver.ack(one, *() if driver.delta else NAMES)
        return found

    def test_one_response_answers_some_of_those_that_do_not_exist(self, driver: Driver) -> None:
        said = driver.say(ENDPOINT, *NAMES)
        assert driver.stream.costly
        found = self.all_of(driver, said)
        assert sorted(found) == sorted(f"{name} is empty" for name in NAMES)
        assert not driver.stream.costly

    def test_what_changes_in_between_is_sent_too(self, driver: Driver) -> None:
        (one,) = driver.say(ENDPOINT, *NAMES)
        driver.change(Resource(ENDPOINT, NAMES[0], b"now here"))
        self.asked.clear()
        found = one.values + self.all_of(driver, driver.ack(one, *() if driver.delta else NAMES))
        assert "now here" in found
        assert {f"{name} is empty" for name in NAMES[1:]} <= set(found)

    def test_names_that_exist_are_answered_at_once(self) -> None:
        driver = Driver(*(Resource(ENDPOINT, name, b"here") for name in NAMES), delta=True)
        (one,) = driver.say(ENDPOINT, *NAMES)
        assert len(one.values) == len(NAMES)
        assert not driver.stream.costly


async def test_the_names_of_a_large_request_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mizzen.xds.connection.NAMES_AT_ONCE", 100)
    others = 0
    reading = asyncio.create_task(in_parts(DeltaRequest(CLUSTER, NAMES, ("gone",), nonce="1")))
    while not reading.done():
        await asyncio.sleep(0)
        others += 1
    assert reading.result() == DeltaRequest(CLUSTER, frozenset(NAMES), frozenset({"gone"}), nonce="1")
    assert others >= len(NAMES) / 100
    read = await in_parts(SotwRequest(CLUSTER, NAMES))
    assert read == SotwRequest(CLUSTER, frozenset(NAMES))
    assert module.NAMES_AT_ONCE >= 1_000
