"""How long a change takes until every proxy that it concerns has answered it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from mizzen import xds

_CHANGES_FOLLOWED = 1000
RECENT: Final = 100
"""So many of the latest changes are remembered, to be looked at."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a client asks for of one type."""

    wildcard: bool
    names: frozenset[str]

    def meets(self, resources: Iterable[str]) -> bool:
        return self.wildcard or not self.names.isdisjoint(resources)


class Push:
    """One change on its way: who has been handed it, and when, and has not answered yet.

    `documents` name some of what changed, and `more` is how many others did; `concerned` are the numbers of
    the clients that it is for. `seconds` is how long it took to the last answer, None as long as one is
    missing, or if it concerned nobody.
    """

    def __init__(self, convergence: Convergence, seen: float, documents: Sequence[str], more: int) -> None:
        self.seen = seen
        self.at = time.time()
        self.documents = tuple(documents)
        self.more = more
        self.waiting: dict[tuple[int, str], float] = {}
        self.handing_over = True
        self.concerned: set[int] = set()
        self.seconds: float | None = None
        self._convergence = convergence

    def handed(self, group: Hashable, changes: Iterable[tuple[str, Iterable[str]]]) -> None:
        """The change was handed over for a group: the types that it touches, each with the changed names."""
        now = self._convergence.now()
        for type_url, names in changes:
            for number in self._convergence.asking(group, type_url, names):
                self.waiting[number, type_url] = now
                self.concerned.add(number)

    def done(self) -> None:
        """It was handed over for every group that it concerns."""
        self.handing_over = False
        self._convergence.settle()

    def as_json(self) -> dict[str, Any]:
        """Return the change as JSON values: when, which documents, how many proxies it concerned, how many
        of them have answered, and the seconds that all took."""
        return {
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "documents": list(self.documents),
            "more": self.more,
            "concerned": len(self.concerned),
            "answered": len(self.concerned - {number for number, _ in self.waiting}),
            "seconds": None if self.seconds is None else round(self.seconds, 4),
        }


class Convergence:
    """Follows each change from being seen to the last answer, ACK or NACK, of a proxy that it concerns.

    It learns from the events of `xds.Server` who asks for what. A change concerns a client if it changes a
    resource that the client asks for; removals alone are not followed, for they wait for a grace time on
    purpose. `observe` is called with the seconds that a change took; one that concerns nobody is not counted.
    If more than a thousand changes wait for an answer, the oldest are given up.
    """

    def __init__(self, observe: Callable[[float], None], clock: Callable[[], float]) -> None:
        self.now = clock
        self._observe = observe
        self._wishes: dict[Hashable, dict[int, dict[str, _Wish]]] = {}
        self._pushes: list[Push] = []
        self._recent: deque[Push] = deque(maxlen=RECENT)

    @property
    def unsettled(self) -> int:
        """The number of changes that some proxy has not answered yet."""
        return len(self._pushes)

    @property
    def recent(self) -> list[Push]:
        """The latest changes, newest first."""
        return list(reversed(self._recent))

    def begin(self, seen: float, documents: Sequence[str] = (), more: int = 0) -> Push:
        """Follow a change of `documents`, and of so many `more`, that was seen at the time `seen`, and is to
        be handed over."""
        push = Push(self, seen, documents, more)
        self._pushes.append(push)
        self._recent.append(push)
        del self._pushes[:-_CHANGES_FOLLOWED]
        return push

    def asking(self, group: Hashable, type_url: str, names: Iterable[str]) -> list[int]:
        """Return the numbers of the group's clients that ask for any of these names."""
        return [
            number
            for number, wishes in self._wishes.get(group, {}).items()
            if (wish := wishes.get(type_url)) is not None and wish.meets(names)
        ]

    def on_event(self, event: xds.Event) -> None:
        """Take an event of the discovery server."""
        match event:
            case xds.Subscribed(client, type_url, wildcard, names):
                group = self._wishes.setdefault(client.group, {})
                group.setdefault(client.number, {})[type_url] = _Wish(wildcard, names)
            case xds.Acked(client, type_url, waited=waited):
                # The answer to what was sent before the change was handed over says nothing about the change.
                self._answered(client.number, type_url, self.now() - waited)
            case xds.Rejected(client, type_url) | xds.Mended(client, type_url):
                self._answered(client.number, type_url, self.now())
            case xds.Disconnected(client):
                clients = self._wishes.get(client.group, {})
                for type_url in clients.pop(client.number, {}):
                    self._answered(client.number, type_url, self.now())
                if not clients:
                    self._wishes.pop(client.group, None)

    def _answered(self, number: int, type_url: str, sent: float) -> None:
        key = (number, type_url)
        last = False
        for push in self._pushes:
            if push.waiting.get(key, sent + 1) <= sent:
                del push.waiting[key]
                last = last or not push.waiting
        if last:
            self.settle()

    def settle(self) -> None:
        """Count the changes that everybody has answered."""
        still = []
        for push in self._pushes:
            if push.waiting or push.handing_over:
                still.append(push)
            elif push.concerned:
                push.seconds = self.now() - push.seen
                self._observe(push.seconds)
        self._pushes = still
