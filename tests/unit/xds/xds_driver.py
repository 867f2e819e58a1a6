"""Drives one stream of the core by hand: say something, get the decoded responses."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from mizzen.xds import Client, MakeBeforeBreak, Resource, Snapshot, Unordered
from mizzen.xds.events import Event
from mizzen.xds.group import Group
from mizzen.xds.response import Dialect
from mizzen.xds.stream import Stream
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, ROUTE
from mizzen.xds.wire import DeltaRequest, ErrorDetail, SotwRequest

POLICY = MakeBeforeBreak(
    warm_timeout=timedelta(seconds=10),
    stuck_timeout=timedelta(seconds=1),
    answer_timeout=timedelta(seconds=10),
    grace=timedelta(seconds=2),
)


def cluster(name: str, text: str = "1") -> Resource:
    return Resource(CLUSTER, name, f"{name} {text}".encode(), children=((ENDPOINT, name),))


def endpoint(name: str, text: str = "1", *, empty: bool = False) -> Resource:
    return Resource(ENDPOINT, name, f"{name} {text}".encode(), empty=empty)


def route(name: str, text: str = "1") -> Resource:
    return Resource(ROUTE, name, f"{name} {text}".encode())


@dataclass
class Said:
    """A decoded response."""

    type_url: str
    nonce: str
    version: str
    values: list[str]
    removed: list[str]
    message: Any


class Driver:
    def __init__(
        self,
        *resources: Resource,
        delta: bool = False,
        policy: Any = None,
        ttl: bool = False,
        group: Group | None = None,
        node_id: str = "node",
        **options: Any,
    ) -> None:
        self.group = group or Group("all", Snapshot.of(resources))
        self.delta = delta
        self.now = 0.0
        self.stream = Stream(
            Client(1, node_id, "all"), self.group, Dialect(delta, ttl), policy or Unordered(), **options
        )
        self.events: list[Event] = []

    def say(self, type_url: str, *names: str, nonce: str = "", error: str = "", **more: Any) -> list[Said]:
        """A request, then all that is answered. In delta the names are those to subscribe."""
        detail = ErrorDetail(13, error) if error else None
        request = DeltaRequest if self.delta else SotwRequest
        before = self.group.effective
        changed = self.stream.receive(request(type_url, names, nonce=nonce, error=detail, **more), self.now)
        assert changed or self.group.effective is before, "nobody would have woken the other clients"
        return self.listen()

    def ack(self, said: Said, *names: str) -> list[Said]:
        """Accept; state of the world repeats its names."""
        return self.say(said.type_url, *names, nonce=said.nonce)

    def change(self, *resources: Resource, removed: tuple[tuple[str, str], ...] = ()) -> list[Said]:
        self.group.update(resources, removed)
        return self.listen()

    def wait(self, seconds: float) -> list[Said]:
        quiet, deadline, events = self.stream.quiet, self.stream.deadline, len(self.events)
        self.now += seconds
        said = self.listen()
        if quiet and (said or len(self.events) > events):
            assert deadline <= self.now, "nobody would have asked so early"
        return said

    def listen(self) -> list[Said]:
        said = []
        while (response := self.stream.poll(self.now)) is not None:
            said.append(self._decode(response.data))
        self.events += self.stream.events()
        self.look_again()
        return said

    def look_again(self) -> None:
        """What is known without looking is so, and there is no need to ask again at once."""
        self.stream._quiet_goal = None
        assert self.stream.poll(self.now) is None, "something is due, and the stream does not say so"
        assert self.stream.events() == []
        assert self.stream.deadline > self.now
        assert self.stream.costly == (self.stream.group.costly or self.stream._channels.costly)

    def _decode(self, data: bytes) -> Said:
        if self.delta:
            message = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
            values = sorted(r.resource.value.decode() for r in message.resources)
            version, removed = message.system_version_info, sorted(message.removed_resources)
        else:
            message = discovery_pb2.DiscoveryResponse.FromString(data)
            values = sorted(r.value.decode() for r in message.resources)
            version, removed = message.version_info, []
        return Said(message.type_url, message.nonce, version, values, removed, message)
