"""A model of an xDS client, after Envoy: what it holds, what it asks for, and what it answers.

It takes encoded responses, so that the bytes are tested too, and gives requests as values.
"""

from collections import deque
from dataclasses import dataclass, field

from envoy.service.discovery.v3 import discovery_pb2

from mizzen.xds import Resource
from mizzen.xds.response import Dialect
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, FULL_STATE, LISTENER, ROUTE
from mizzen.xds.wire import DeltaRequest, ErrorDetail, Request, SotwRequest

TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
ALIASED = ("1", "2", "5", "bad6")
"""Texts of routes that have an alias."""

DIALECTS = {delta: Dialect(delta, control_plane="model") for delta in (False, True)}


def resource(type_url: str, name: str, text: str) -> Resource:
    """A resource whose bytes hold its own name, which a state-of-the-world client must find in the
    message.
    """
    children = ((ENDPOINT, name),) if type_url == CLUSTER else ()
    aliases = (f"also-{name}",) if type_url == ROUTE and text in ALIASED else ()
    return Resource(type_url, name, f"{name}={text}".encode(), children=children, aliases=aliases)


def fallback(type_url: str, name: str) -> Resource | None:
    """An answer for some endpoints that do not exist; one of them is bad."""
    texts = {"c": "fallback", "d": "bad fallback"}
    return resource(type_url, name, texts[name]) if type_url == ENDPOINT and name in texts else None


def is_bad(value: bytes) -> bool:
    return b"bad" in value


@dataclass
class TypeState:
    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    named: bool = False
    held: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    version: str = ""
    nonce: str = ""
    asked: bool = False
    nonces: set[str] = field(default_factory=set)
    aliases: dict[str, frozenset[str]] = field(default_factory=dict)

    def wants(self, name: str, aliases: frozenset[str]) -> bool:
        return self.wildcard or name in self.names or not self.names.isdisjoint(aliases)


class Client:
    """One client with one stream at a time."""

    def __init__(self, *, delta: bool, drops_all: bool, anonymous: bool) -> None:
        self.delta = delta
        self.drops_all = (
            drops_all  # a bad resource makes it drop the whole response (Envoy: constraints of fields)
        )
        self.anonymous = anonymous  # and it does not say which one was bad
        self.types = {type_url: TypeState() for type_url in TYPES}
        self.outbox: deque[Request] = deque()
        self.warming: set[str] = set()
        self.held_back: list[tuple[str, str]] = []
        self.sent_first = False
        self.bearable: set[bytes] = set()  # bad ones whose cause was outside of them, and is gone

    # What it asks for

    def reconnect(self) -> None:
        """A new stream: nonces are forgotten, resources are not."""
        self.outbox.clear()
        self.held_back.clear()
        for type_url, state in self.types.items():
            state.nonce, state.nonces = "", set()
            if not state.asked:
                continue
            if self.delta:
                subscribe = tuple(sorted(state.names)) + (("*",) if state.wildcard and state.named else ())
                if not state.wildcard and not subscribe:
                    state.asked = state.named = False
                    continue
                self.outbox.append(DeltaRequest(type_url, subscribe, initial_versions=dict(state.versions)))
            elif state.wildcard or state.names:
                self._say(type_url)
            else:
                state.asked = state.named = False

    def subscribe(self, type_url: str, names: set[str]) -> None:
        state = self.types[type_url]
        state.asked = True
        if not names and not state.named:
            state.wildcard = True
        else:
            state.named = True
            state.names |= names - {"*"}
            state.wildcard |= "*" in names
        if self.delta:
            self.outbox.append(DeltaRequest(type_url, tuple(sorted(names))))
        else:
            self._say(type_url)

    def unsubscribe(self, type_url: str, names: set[str]) -> None:
        state = self.types[type_url]
        names = names & (state.names | ({"*"} if state.wildcard else set()))
        if not names:
            return
        state.names -= names
        if "*" in names:
            state.wildcard = False
        if not self.delta and not state.names and not state.wildcard and not state.named:
            state.wildcard = True  # it cannot say otherwise
            return
        for name in list(state.held):
            if not state.wants(name, state.aliases.get(name, frozenset())):
                self._forget(type_url, name)
        if self.delta:
            self.outbox.append(DeltaRequest(type_url, unsubscribe=tuple(sorted(names))))
        else:
            self._say(type_url)

    def _forget(self, type_url: str, name: str) -> None:
        state = self.types[type_url]
        state.held.pop(name, None)
        state.versions.pop(name, None)

    def _say(self, type_url: str, error: ErrorDetail | None = None) -> None:
        state = self.types[type_url]
        names = tuple(sorted(state.names)) + (("*",) if state.wildcard and state.named else ())
        self.outbox.append(SotwRequest(type_url, names, state.version, state.nonce, error))

    # What it is sent

    def take(self, data: bytes) -> None:
        if self.delta:
            message = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
            news = {r.name: (r.resource.value, r.version) for r in message.resources}
            aliases = {r.name: frozenset(r.aliases) for r in message.resources}
            assert len(news) == len(message.resources), "the same name twice"
            assert all(r.resource.type_url == message.type_url for r in message.resources)
            removed = set(message.removed_resources)
            assert len(removed) == len(message.removed_resources)
            assert not removed & news.keys()
            version = message.system_version_info
        else:
            message = discovery_pb2.DiscoveryResponse.FromString(data)
            news = {r.value.partition(b"=")[0].decode(): (r.value, "") for r in message.resources}
            assert len(news) == len(message.resources), "the same name twice"
            version = message.version_info
            removed, aliases = set(), {}
        assert message.control_plane.identifier == "model"
        state = self.types[message.type_url]
        assert message.nonce
        assert message.nonce not in state.nonces, "a nonce was used twice on one stream"
        state.nonces.add(message.nonce)
        state.nonce = message.nonce
        if not self.delta and message.type_url in FULL_STATE:
            removed = state.held.keys() - news.keys()
        state.aliases |= aliases
        self._apply(message.type_url, news, removed, version)

    def _apply(
        self, type_url: str, news: dict[str, tuple[bytes, str]], removed: set[str], version: str
    ) -> None:
        state = self.types[type_url]
        bad = sorted(
            name for name, (value, _) in news.items() if is_bad(value) and value not in self.bearable
        )
        if not (bad and self.drops_all):
            for name, (value, resource_version) in news.items():
                if name in bad or not state.wants(name, state.aliases.get(name, frozenset())):
                    continue
                if type_url == CLUSTER and state.held.get(name) != value:
                    self.warming.add(name)
                if type_url == ENDPOINT:
                    self.warming.discard(name)
                state.held[name] = value
                if not bad:  # else it goes on claiming what it had
                    state.versions[name] = resource_version
            for name in removed - set(bad):
                state.held.pop(name, None)
                if not bad:
                    state.versions.pop(name, None)
                if type_url == CLUSTER:
                    self.warming.discard(name)
        if not bad:
            state.version = version
            self._answer(type_url, None)
        elif self.anonymous:
            self._answer(type_url, ErrorDetail(13, "Proto constraint validation failed"))
        else:
            listed = ", ".join(f"{name}: it is bad" for name in bad)
            self._answer(type_url, ErrorDetail(13, f"Error adding/updating cluster(s) {listed}"))

    def _answer(self, type_url: str, error: ErrorDetail | None) -> None:
        if self.delta:
            self.outbox.append(DeltaRequest(type_url, nonce=self.types[type_url].nonce, error=error))
        else:
            self._say(type_url, error)
