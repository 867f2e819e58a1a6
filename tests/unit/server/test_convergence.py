import asyncio

from mizzen import xds
from mizzen.server.convergence import Convergence

CDS = xds.type_urls.CLUSTER
EDS = xds.type_urls.ENDPOINT
LDS = xds.type_urls.LISTENER
RDS = xds.type_urls.ROUTE


class Watched:
    def __init__(self) -> None:
        self.now = 100.0
        self.seconds: list[float] = []
        self.convergence = Convergence(self.seconds.append, lambda: self.now)

    def subscribes(self, client: xds.Client, type_url: str, *names: str) -> None:
        event = xds.Subscribed(client, type_url, not names, frozenset(names))
        self.convergence.on_event(event)

    def pushed(self, seen: float, handed: dict[str, list[tuple[str, list[str]]]]) -> None:
        push = self.convergence.begin(seen)
        for group, changes in handed.items():
            push.handed(group, changes)
        push.done()

    def acks(self, client: xds.Client, type_url: str, waited: float) -> None:
        self.convergence.on_event(xds.Acked(client, type_url, "v", "n", waited))


A = xds.Client(1, "a", "group a")
B = xds.Client(2, "b", "group b")


def test_a_change_ends_with_the_last_answer_of_those_who_asked_for_it() -> None:
    watched = Watched()
    watched.subscribes(A, CDS)
    watched.subscribes(A, EDS, "x", "y")
    watched.subscribes(B, EDS, "y")
    watched.pushed(99.5, {"group a": [(CDS, ["x"]), (EDS, ["x"])], "group b": [(EDS, ["x"])]})

    watched.now = 101
    watched.acks(A, CDS, waited=0.5)
    assert watched.seconds == [], "the endpoints are not answered yet"
    watched.now = 102
    watched.acks(A, EDS, waited=0.5)

    assert watched.seconds == [2.5], "B asks for other endpoints, and nobody waits for it"


def test_the_answer_to_an_earlier_response_says_nothing_of_the_change() -> None:
    watched = Watched()
    watched.subscribes(A, CDS)
    watched.pushed(100, {"group a": [(CDS, ["x"])]})
    watched.now = 101
    watched.acks(A, CDS, waited=3.0)
    assert watched.convergence.unsettled == 1
    watched.acks(A, CDS, waited=0.5)
    assert watched.seconds == [1.0]


def test_a_rejection_is_an_answer_and_so_is_the_end_of_the_stream() -> None:
    watched = Watched()
    watched.subscribes(A, CDS)
    watched.subscribes(B, CDS)
    watched.pushed(100, {"group a": [(CDS, ["x"])], "group b": [(CDS, ["x"])]})
    watched.now = 103
    watched.convergence.on_event(xds.Rejected(A, CDS, "v", "n", "no", ()))
    assert watched.seconds == []
    watched.now = 104
    watched.convergence.on_event(xds.Disconnected(B))
    assert watched.seconds == [4.0]


def test_a_change_that_concerns_nobody_is_not_counted() -> None:
    watched = Watched()
    watched.subscribes(A, EDS, "x")
    watched.pushed(100, {"group a": [(EDS, ["z"]), (CDS, ["z"])], "group c": [(CDS, ["z"])]})
    assert watched.convergence.unsettled == 0


def test_changes_that_are_never_answered_do_not_pile_up() -> None:
    watched = Watched()
    watched.subscribes(A, CDS)
    for _ in range(1100):
        watched.pushed(100, {"group a": [(CDS, ["x"])]})
    assert watched.convergence.unsettled == 1000


def test_an_answer_that_comes_while_the_change_is_still_handed_over_counts() -> None:
    watched = Watched()
    watched.subscribes(A, CDS)
    watched.subscribes(B, CDS)
    push = watched.convergence.begin(100)
    push.handed("group a", [(CDS, ["x"])])
    watched.now = 101
    watched.acks(A, CDS, waited=0.5)
    assert watched.seconds == [], "the others have not been handed it"
    push.handed("group b", [(CDS, ["x"])])
    push.done()
    assert watched.seconds == []
    watched.now = 102
    watched.acks(B, CDS, waited=0.5)
    assert watched.seconds == [2.0]


def test_all_clients_of_a_group_are_waited_for() -> None:
    watched = Watched()
    second = xds.Client(2, "a", "group a")
    watched.subscribes(A, CDS)
    watched.subscribes(second, CDS)
    watched.pushed(100, {"group a": [(CDS, ["x"])]})
    watched.now = 101
    watched.acks(A, CDS, waited=0.5)
    assert watched.seconds == []
    watched.acks(second, CDS, waited=0.5)
    assert watched.seconds == [1.0]


def test_one_answer_is_that_to_all_changes_before_it() -> None:
    watched = Watched()
    watched.subscribes(A, CDS)
    for seen in (98.0, 99.0):
        watched.pushed(seen, {"group a": [(CDS, ["x"])]})
    watched.now = 101
    watched.acks(A, CDS, waited=1.0)  # what was sent at the very moment of the change may hold it
    assert watched.seconds == [3.0, 2.0]
    assert watched.convergence.unsettled == 0


def test_an_answer_at_the_beginning_of_the_clock_to_what_was_not_sent_ends_nothing() -> None:
    watched = Watched()
    watched.now = 0.25
    watched.subscribes(A, CDS)
    watched.subscribes(A, EDS)
    watched.pushed(0.0, {"group a": [(CDS, ["x"])]})
    watched.acks(A, EDS, waited=0.0)
    assert watched.convergence.unsettled == 1


def test_what_recovers_is_answered() -> None:
    watched = Watched()
    watched.subscribes(A, CDS)
    watched.pushed(100, {"group a": [(CDS, ["x"])]})
    watched.now = 103
    watched.convergence.on_event(xds.Recovered(A, CDS))
    assert watched.seconds == [3.0]


def test_who_has_gone_is_asked_no_more() -> None:
    watched = Watched()
    watched.subscribes(A, CDS)
    watched.convergence.on_event(xds.Disconnected(A))
    watched.pushed(100, {"group a": [(CDS, ["x"])]})
    assert watched.convergence.unsettled == 0
    watched.convergence.on_event(xds.Disconnected(B))  # that never subscribed


class Awaited(Watched):
    """A change of a listener at A, and somebody who waits for A's answer."""

    def __init__(self, seconds: float = 60) -> None:
        super().__init__()
        for type_url in (CDS, LDS):
            self.subscribes(A, type_url)
        self.push = self.convergence.begin(100)
        self.push.handed("group a", [(CDS, ["x"]), (LDS, ["x"])])
        self.waiting = asyncio.create_task(self.push.answered(["group a"], seconds))

    async def is_waiting(self) -> bool:
        for _ in range(3):
            await asyncio.sleep(0)
        return not self.waiting.done()


async def test_listeners_are_the_last_that_a_client_answers() -> None:
    """Clusters may need no answer: a client that still has those that come back is sent nothing."""
    awaited = Awaited()
    assert await awaited.is_waiting()
    awaited.now = 101
    awaited.acks(A, LDS, waited=2)
    assert await awaited.is_waiting(), "an answer to what was sent before"
    awaited.acks(A, LDS, waited=0.5)
    assert not await awaited.is_waiting()


async def test_listeners_that_are_answered_already_were_the_last_too() -> None:
    awaited = Awaited()
    awaited.now = 101
    awaited.acks(A, LDS, waited=0.5)
    assert not await awaited.is_waiting()


async def test_what_a_new_listener_asks_for_is_waited_for() -> None:
    awaited = Awaited()
    assert await awaited.is_waiting()
    awaited.now = 101
    awaited.subscribes(A, RDS, "http.80")
    awaited.subscribes(B, RDS, "http.80")
    awaited.acks(A, LDS, waited=0.5)
    assert await awaited.is_waiting()
    awaited.now = 102
    awaited.acks(A, RDS, waited=0.5)
    assert not await awaited.is_waiting()


async def test_names_that_a_client_gives_up_bring_no_answer() -> None:
    awaited = Awaited()
    awaited.subscribes(A, RDS, "http.80", "http.81")
    assert await awaited.is_waiting()
    awaited.now = 101
    awaited.subscribes(A, RDS, "http.80")
    awaited.acks(A, LDS, waited=0.5)
    assert not await awaited.is_waiting()


async def test_nobody_is_waited_for_without_end() -> None:
    awaited = Awaited(seconds=0.01)
    async with asyncio.timeout(10):
        await awaited.waiting
    assert awaited.push.waiting


async def test_who_owes_an_answer_for_long_is_not_waited_for() -> None:
    awaited = Awaited()
    awaited.now = 104
    push = awaited.convergence.begin(104)
    push.handed("group a", [(LDS, ["y"])])
    async with asyncio.timeout(10):
        await push.answered(["group a"], 3)
    assert await awaited.is_waiting()
    awaited.convergence.on_event(xds.Disconnected(A))
    async with asyncio.timeout(10):
        await awaited.waiting
