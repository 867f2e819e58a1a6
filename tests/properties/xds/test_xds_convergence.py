"""Whatever happens in whatever order, every client comes to what its group is to be given, and then there
is silence.
"""

from collections import deque
from datetime import timedelta
from math import inf
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from mizzen.xds import Client as ClientId
from mizzen.xds import MakeBeforeBreak, Resource, Snapshot, Unordered
from mizzen.xds.events import Acked, Rejected
from mizzen.xds.group import Group, RejectedResource
from mizzen.xds.response import Response
from mizzen.xds.retries import FIRST, LONGEST
from mizzen.xds.stream import Stream
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, FULL_STATE, ROUTE
from tests.properties.xds.xds_model_client import DIALECTS, TYPES, Client, fallback, is_bad, resource

NAMES = st.sampled_from(["a", "b", "c", "d"])
POLICY = MakeBeforeBreak(timedelta(10), timedelta(1), timedelta(10), grace=timedelta(seconds=2))


Key = tuple[str, str, str]


def key_of(one: Resource) -> Key:
    return one.type_url, one.name, one.version


class RestingGroup(Group):
    """A group that can be made to try nothing again, so that there is silence some time."""

    retrying = True

    def next_retry(self, *asked: Any) -> tuple[float, RejectedResource] | None:
        return super().next_retry(*asked) if self.retrying else None


class Peer:
    """A client, its stream, and the two directions of the transport between them."""

    def __init__(self, client: Client, group: Group, ordered: bool, node_id: str) -> None:
        self.client = client
        self.node_id = node_id
        self.group = group
        self.policy = POLICY if ordered else Unordered()
        self.to_client: deque[bytes] = deque()
        self.responses = 0
        self.connect()

    def connect(self) -> None:
        self.to_client.clear()
        if hasattr(self, "stream"):
            self.stream.end()
        self.stream = Stream(
            ClientId(1, self.node_id, "all"),
            self.group,
            DIALECTS[self.client.delta],
            self.policy,
            fallback=fallback,
        )
        self.client.reconnect()


class Convergence(RuleBasedStateMachine):
    peers = Bundle("peers")

    def __init__(self) -> None:
        super().__init__()
        self.group = RestingGroup("all", Snapshot())
        self.now = 0.0
        self.everyone: list[Peer] = []
        self.refused: dict[Key, tuple[str, float]] = {}
        """Who refused it, and when it was refused or tried again last."""
        self.bearable: set[bytes] = set()

    # The world

    @rule(
        type_url=st.sampled_from(TYPES),
        names=st.sets(NAMES, min_size=1),
        text=st.sampled_from(["1", "2", "3"]),
    )
    def change(self, type_url: str, names: set[str], text: str) -> None:
        self.group.update([resource(type_url, name, text) for name in names])

    @rule(type_url=st.sampled_from(TYPES), name=NAMES, others=st.sets(NAMES), text=st.sampled_from("56"))
    def change_badly(self, type_url: str, name: str, others: set[str], text: str) -> None:
        news = [resource(type_url, other, text) for other in others - {name}]
        self.group.update([*news, resource(type_url, name, f"bad{text}")])

    @rule(
        type_url=st.sampled_from(TYPES),
        names=st.permutations(["a", "b", "c", "d"]),
        text=st.sampled_from("56"),
    )
    def change_badly_while_a_search_goes_on(self, type_url: str, names: list[str], text: str) -> None:
        """The first is bad, and so is the last, which comes when the search for the first has begun."""
        first, *others, last = names
        news = [resource(type_url, other, text) for other in others]
        self.group.update([*news, resource(type_url, first, f"bad{text}")])
        for peer in self.everyone:
            for step in (self._server_sends, self._client_reads, self._server_reads):
                step(peer)
        self.group.update([resource(type_url, last, f"bad{text}")])

    @rule(type_url=st.sampled_from(TYPES), names=st.sets(NAMES, min_size=1))
    def remove(self, type_url: str, names: set[str]) -> None:
        self.group.update((), [(type_url, name) for name in names])

    @rule()
    def set_anew(self) -> None:
        """The owner may put everything together again: what has the same content is the same."""
        assert self.group.snapshot is not None
        self.group.set(
            Snapshot.of(
                resource(r.type_url, r.name, r.value.decode().partition("=")[2]) for r in self.group.snapshot
            )
        )

    @rule(seconds=st.sampled_from([0.5, 3.0, 1_000_000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    # The clients

    @rule(
        target=peers,
        delta=st.booleans(),
        drops_all=st.booleans(),
        anonymous=st.booleans(),
        ordered=st.booleans(),
    )
    def connect(self, delta: bool, drops_all: bool, anonymous: bool, ordered: bool):
        if len(self.everyone) >= 3:
            return multiple()
        client = Client(delta=delta, drops_all=drops_all, anonymous=anonymous)
        client.bearable = self.bearable
        client.subscribe(CLUSTER, set())
        peer = Peer(client, self.group, ordered, f"model-{len(self.everyone)}")
        self.everyone.append(peer)
        return peer

    @rule(peer=peers, type_url=st.sampled_from(TYPES), names=st.sets(NAMES | st.just("*")))
    def subscribe(self, peer: Peer, type_url: str, names: set[str]) -> None:
        if not names and peer.client.types[type_url].asked:
            return
        peer.client.subscribe(type_url, names)

    @rule(peer=peers, name=NAMES)
    def subscribe_to_an_alias(self, peer: Peer, name: str) -> None:
        if peer.client.delta:
            peer.client.subscribe(ROUTE, {f"also-{name}"})

    @rule(peer=peers, name=NAMES)
    def unsubscribe_from_an_alias(self, peer: Peer, name: str) -> None:
        peer.client.unsubscribe(ROUTE, {f"also-{name}"})

    @rule(peer=peers, type_url=st.sampled_from(TYPES), names=st.sets(NAMES | st.just("*"), min_size=1))
    def unsubscribe(self, peer: Peer, type_url: str, names: set[str]) -> None:
        peer.client.unsubscribe(type_url, names)

    @rule(peer=peers, name=NAMES, text=st.sampled_from("123"))
    def lose_the_connection_while_a_cluster_warms(self, peer: Peer, name: str, text: str) -> None:
        self.group.update([resource(CLUSTER, name, "0"), resource(ENDPOINT, name, "0")])
        peer.client.subscribe(ENDPOINT, {name})
        self.settle()
        self.group.update([resource(CLUSTER, name, text)])
        self._server_sends(peer)
        self._client_reads(peer)
        peer.connect()

    @rule(
        peer=peers,
        type_url=st.sampled_from(TYPES),
        names=st.permutations(["a", "b", "c", "d"]),
        text=st.sampled_from("56"),
        read=st.booleans(),
    )
    def lose_the_connection_after_a_part(
        self, peer: Peer, type_url: str, names: list[str], text: str, read: bool
    ) -> None:
        """A response that the client refuses, and applies in part, is taken back before it is there again."""
        bad, new, changed, gone = names
        before = [resource(type_url, name, "1") for name in (changed, gone)]
        self.group.update(before, [(type_url, bad), (type_url, new)])
        self.settle()
        news = [resource(type_url, name, text) for name in (new, changed)]
        self.group.update([*news, resource(type_url, bad, f"bad{text}")], [(type_url, gone)])
        self._server_sends(peer)
        self._client_reads(peer)
        if read:
            self._server_reads(peer)
        peer.connect()
        self.group.update(before, [(type_url, bad), (type_url, new)])

    @rule(peer=peers)
    def lose_the_connection(self, peer: Peer) -> None:
        peer.connect()

    # The transport, one message at a time

    @rule(peer=peers)
    def server_sends(self, peer: Peer) -> None:
        self._server_sends(peer)

    def _server_sends(self, peer: Peer) -> bool:
        response = peer.stream.poll(self.now)
        if response is None:
            return False
        retried = self._is_retry(peer, response)
        subscription = peer.stream.channels[response.type_url].subscription
        assert all(map(subscription.asks_for, response.resources)), "sent though it was not asked for"
        peer.to_client.append(response.data)
        peer.responses += not retried
        return True

    def _is_retry(self, peer: Peer, response: Response) -> bool:
        """What was refused is sent again alone, after a while, and to the client that refused it."""
        again = [each for each in response.resources if key_of(each) in self.refused]
        if not again:
            return False
        assert len(again) == 1
        node_id, at = self.refused[key_of(again[0])]
        assert node_id == peer.node_id, "it is sent to another one"
        assert self.now >= at + FIRST, "it is sent too soon"
        self.refused[key_of(again[0])] = (node_id, self.now)
        return True

    @rule(peer=peers)
    def client_reads(self, peer: Peer) -> None:
        self._client_reads(peer)

    def _client_reads(self, peer: Peer) -> bool:
        if not peer.to_client:
            return False
        peer.client.take(peer.to_client.popleft())
        return True

    @rule(peer=peers)
    def server_reads(self, peer: Peer) -> None:
        self._server_reads(peer)

    def _server_reads(self, peer: Peer) -> bool:
        if not peer.client.outbox:
            return False
        peer.stream.receive(peer.client.outbox.popleft(), self.now)
        for event in peer.stream.events():
            if isinstance(event, Rejected):
                for culprit in event.culprits:
                    assert is_bad(culprit.value), "an innocent was blamed"
                    self.refused[key_of(culprit)] = (peer.node_id, self.now)
            if isinstance(event, Acked) and event.recovered is not None:
                del self.refused[key_of(event.recovered.resource)]
        return True

    # What must hold

    @rule()
    def come_to_rest(self) -> None:
        self.settle()
        for peer in self.everyone:
            self.check(peer)
        before = [peer.responses for peer in self.everyone]
        self.now += 100
        self.set_anew()
        self.settle()
        assert before == [peer.responses for peer in self.everyone], "something was sent without need"

    @rule()
    def causes_outside_end(self) -> None:
        """All clients would take now what was refused: who is asked again comes to all that it asks for."""
        self.settle()
        self.bearable.update(held.resource.value for held in self.group.rejected)
        for _ in range(20):
            self.now += 2 * LONGEST
            for peer in self.everyone:
                peer.stream._quiet_goal = None  # it was told that nothing is tried again
                self._server_sends(peer)
            self.settle()
        for peer in self.everyone:
            self.check(peer)
        for held in self.group.rejected:
            askers = [p for p in self.everyone if p.node_id == held.retry.client]
            assert not any(self._asks_for(peer, held.resource) for peer in askers), "it is not tried again"

    def _asks_for(self, peer: Peer, one: Resource) -> bool:
        channel = peer.stream.channels.get(one.type_url)
        return channel is not None and channel.subscription.asks_for(one)

    def settle(self) -> None:
        """Go on until there is silence; in the meantime nothing is tried again."""
        self.group.retrying = False
        for _ in range(400):
            moved = [
                step(peer)
                for peer in self.everyone
                for step in (self._server_reads, self._server_sends, self._client_reads)
            ]
            if not any(moved):
                deadlines = [p.stream.deadline for p in self.everyone if p.stream.deadline < inf]
                if not deadlines:
                    self.group.retrying = True
                    return
                assert min(deadlines) > self.now or any(moved), "a deadline that does nothing"
                self.now = min(deadlines)
        raise AssertionError("no rest after 400 rounds")

    def check(self, peer: Peer) -> None:
        assert self.group.effective is not None
        for type_url, state in peer.client.types.items():
            if not state.asked:
                continue
            wanted = {r.name: r.value for r in self.group.effective if r.type_url == type_url}
            aliases = {r.name: frozenset(r.aliases) for r in self.group.effective if r.type_url == type_url}
            wanted = {name: value for name, value in wanted.items() if state.wants(name, aliases[name])}
            held = {
                name: value
                for name, value in state.held.items()
                if name in wanted or not value.endswith(b"=fallback")
            }
            if not peer.client.delta and type_url not in FULL_STATE:
                held = {
                    name: value for name, value in held.items() if name in wanted
                }  # nothing can be deleted
            assert held == wanted
        endpoints = peer.client.types[ENDPOINT]
        if peer.client.types[CLUSTER].wildcard and peer.policy is POLICY:
            known = {r.name for r in self.group.effective if r.type_url == ENDPOINT}
            asked = known if endpoints.wildcard else known & endpoints.names
            assert not peer.client.warming & asked, "a changed cluster waits for endpoints that exist"

    @invariant()
    def only_bad_ones_are_held(self) -> None:
        assert all(is_bad(entry.resource.value) for entry in self.group.rejected)


TestConvergence = Convergence.TestCase
TestConvergence.settings = settings(max_examples=250, stateful_step_count=50, deadline=None)
