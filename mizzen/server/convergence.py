"""How long a change takes until every proxy that it concerns has answered it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from mizzen import xds

_CHANGES_FOLLOWED = 1000


@dataclass(slots=True)
class _Change:
    seen: float
    handed_over: float
    waiting: set[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a client asks for of one type."""

    wildcard: bool
    names: frozenset[str]

    def meets(self, resources: Iterable[str]) -> bool:
        return self.wildcard or not self.names.isdisjoint(resources)


class Convergence:
    """Follows each change from being seen to the last answer, ACK or NACK, of a proxy that it concerns.

    It learns from the events of `xds.Server` who asks for what. A change concerns a client if it changes a
    resource that the client asks for; removals alone are not followed, for they wait for a grace time on
    purpose. `observe` is called with the seconds that a change took; one that concerns nobody is not counted.
    If more than a thousand changes wait for an answer, the oldest are given up.
    """

    def __init__(self, observe: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._observe = observe
        self._clock = clock
        self._wishes: dict[Hashable, dict[int, dict[str, _Wish]]] = {}
        self._changes: list[_Change] = []

    @property
    def unsettled(self) -> int:
        """The number of changes that some proxy has not answered yet."""
        return len(self._changes)

    def pushed(self, seen: float, handed: Mapping[Hashable, Iterable[tuple[str, Iterable[str]]]]) -> None:
        """A change that was seen at the time `seen` has been handed over.

        `handed` says for each group which types changed, and the names of the changed resources.
        """
        waiting = {
            (number, type_url)
            for key, changes in handed.items()
            for type_url, names in changes
            for number, wishes in self._wishes.get(key, {}).items()
            if (wish := wishes.get(type_url)) is not None and wish.meets(names)
        }
        if waiting:
            self._changes.append(_Change(seen, self._clock(), waiting))
            del self._changes[:-_CHANGES_FOLLOWED]

    def on_event(self, event: xds.Event) -> None:
        """Take an event of the discovery server."""
        match event:
            case xds.Subscribed(client, type_url, wildcard, names):
                group = self._wishes.setdefault(client.group, {})
                group.setdefault(client.number, {})[type_url] = _Wish(wildcard, names)
            case xds.Acked(client, type_url, waited=waited):
                # The answer to what was sent before the change was handed over says nothing about the change.
                self._answered(client.number, type_url, self._clock() - waited)
            case xds.Rejected(client, type_url):
                self._answered(client.number, type_url, self._clock())
            case xds.Disconnected(client):
                clients = self._wishes.get(client.group, {})
                for type_url in clients.pop(client.number, {}):
                    self._answered(client.number, type_url, self._clock())
                if not clients:
                    self._wishes.pop(client.group, None)

    def _answered(self, number: int, type_url: str, sent: float) -> None:
        still = []
        for change in self._changes:
            if change.handed_over <= sent:
                change.waiting.discard((number, type_url))
            if change.waiting:
                still.append(change)
            else:
                self._observe(self._clock() - change.seen)
        self._changes = still
