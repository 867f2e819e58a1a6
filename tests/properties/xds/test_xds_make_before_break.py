"""No client ever uses a route to a cluster that it lacks or that is not warm, whatever changes and however
slow it is.
"""

from collections import deque
from datetime import timedelta
from math import inf

import hypothesis.strategies as st
from hypothesis import given, settings

from mizzen.xds import Client as ClientId
from mizzen.xds import MakeBeforeBreak, Resource, Snapshot, Unordered
from mizzen.xds.group import Group
from mizzen.xds.ordering import Policy
from mizzen.xds.stream import Stream
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from mizzen.xds.wire import Request
from tests.properties.xds.xds_model_client import DIALECTS, Client, resource

ROUTES = ("r1", "r2")
CLUSTERS = ("a", "b", "c", "d")


def consistent(routes: dict[str, str], texts: dict[str, str]) -> Snapshot:
    """Each route goes to one cluster; just those clusters exist, with their endpoints."""
    resources: list[Resource] = [resource(LISTENER, "l", "".join(sorted(routes)))]
    resources += [resource(ROUTE, name, cluster) for name, cluster in routes.items()]
    for cluster in set(routes.values()):
        resources += [resource(CLUSTER, cluster, texts.get(cluster, "")), resource(ENDPOINT, cluster, "1")]
    return Snapshot.of(resources)


class Envoy(Client):
    """Asks for the endpoints of its clusters and the routes of its listener; answers for clusters when
    they are warm.
    """

    def __init__(self, *, delta: bool) -> None:
        super().__init__(delta=delta, drops_all=False, anonymous=False)
        self.kept: list[Request] = []
        self.broken: list[str] = []
        self.subscribe(CLUSTER, set())
        self.subscribe(LISTENER, set())

    def _answer(self, type_url, error) -> None:
        if type_url == CLUSTER:
            self._follow(ENDPOINT, set(self.types[CLUSTER].held))
        if type_url == LISTENER:
            self._follow(ROUTE, set(ROUTES))
        super()._answer(type_url, error)
        if type_url == CLUSTER:
            self.kept.append(self.outbox.pop())
        if not self.warming:
            self.outbox.extend(self.kept)
            self.kept.clear()
        for name, value in self.types[ROUTE].held.items():
            cluster = value.decode().partition("=")[2]
            if cluster not in self.types[CLUSTER].held or cluster in self.cold:
                self.broken.append(f"{name} goes to {cluster}")

    @property
    def cold(self) -> set[str]:
        """New clusters that are not warm. A changed one serves in its old form until it is."""
        return self.warming - self.served

    def _apply(self, type_url, news, removed, version) -> None:
        if not hasattr(self, "served"):
            self.served: set[str] = set()
        super()._apply(type_url, news, removed, version)
        self.served = (self.served | (self.types[CLUSTER].held.keys() - self.warming)) & set(
            self.types[CLUSTER].held
        )

    def _follow(self, type_url: str, wanted: set[str]) -> None:
        names = self.types[type_url].names
        if gone := names - wanted:
            self.unsubscribe(type_url, gone) if self.delta else names.difference_update(gone)
        if new := wanted - names:
            self.subscribe(type_url, new)


steps = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "routes": st.fixed_dictionaries({name: st.sampled_from(CLUSTERS) for name in ROUTES}),
                "texts": st.dictionaries(st.sampled_from(CLUSTERS), st.sampled_from("xyz")),
            }
        ),
        st.sampled_from(["send", "send", "read", "read", "hear", "hear", "wait", "rest", "break"]),
    ),
    max_size=60,
)


def play(moves: list[object], *, delta: bool, policy: Policy) -> Envoy:
    group = Group("all", consistent({"r1": "a", "r2": "b"}, {}))
    client = Envoy(delta=delta)
    stream = Stream(ClientId(1, "model", "all"), group, DIALECTS[delta], policy)

    def reconnect() -> None:
        """State of the world cannot keep what the server does not have any more, so it is left out here."""
        nonlocal stream
        if delta:
            stream.end()
            wire.clear()
            client.kept.clear()
            client.reconnect()
            stream = Stream(ClientId(1, "model", "all"), group, DIALECTS[delta], policy)
            while hear():  # it says at once all that it asks for
                pass

    wire: deque[bytes] = deque()
    now = 0.0

    def send() -> bool:
        response = stream.poll(now)
        if response is not None:
            wire.append(response.data)
        return response is not None

    def read() -> bool:
        if wire:
            client.take(wire.popleft())
            return True
        return False

    def hear() -> bool:
        if client.outbox:
            stream.receive(client.outbox.popleft(), now)
            return True
        return False

    def rest() -> None:
        nonlocal now
        for _ in range(300):
            if not any([hear(), send(), read()]):
                if stream.deadline == inf:
                    return
                now = stream.deadline
        raise AssertionError("no rest")

    for move in [*moves, "rest"]:
        if isinstance(move, dict):
            group.set(consistent(move["routes"], move["texts"]))
        elif move == "wait":
            now += 1.0  # less than any timeout, so no wait is given up
        else:
            {"send": send, "read": read, "hear": hear, "rest": rest, "break": reconnect}[str(move)]()
    assert group.effective is not None
    for type_url in (CLUSTER, LISTENER, ROUTE):
        wanted = {r.name: r.value for r in group.effective if r.type_url == type_url}
        assert client.types[type_url].held == wanted
    return client


@given(steps, st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_route_ever_lacks_its_cluster(moves: list[object], delta: bool) -> None:
    patient = MakeBeforeBreak(timedelta(days=1), timedelta(days=1), timedelta(days=1), timedelta(seconds=2))
    assert play(moves, delta=delta, policy=patient).broken == []


def test_the_same_change_breaks_a_route_without_the_order() -> None:
    """The model can see a break: without the policy there is one."""
    change = {"routes": {"r1": "c", "r2": "d"}, "texts": {}}
    for delta in (False, True):
        assert play(["rest", change], delta=delta, policy=Unordered()).broken != []
