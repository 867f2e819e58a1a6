"""How long a change takes until every proxy that it concerns has answered it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from mizzen import xds
from mizzen.xds.ordering import USERS

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


class _Owed:
    """What some clients are to answer, since when: a change, and what they ask for while they take it in. A
    new listener asks for its routes and certificates before Envoy accepts it, and is in use when it has them.
    """

    def __init__(self, owed: dict[tuple[int, str], float]) -> None:
        self._owed = owed
        self._numbers = {number for number, _ in owed}
        self._given = asyncio.Event()
        self._look()

    async def given(self) -> None:
        """Wait until all is answered."""
        await self._given.wait()

    def asked(self, number: int, type_url: str, now: float) -> None:
        """A client asks for more of a type."""
        if number in self._numbers:
            self._owed[number, type_url] = now

    def answered(self, key: tuple[int, str], sent: float) -> None:
        """A client has answered what was sent then."""
        if self._owed.get(key, sent + 1) <= sent:
            del self._owed[key]
            self._look()

    def _look(self) -> None:
        if not self._owed:
            self._given.set()


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
        self.users: set[int] = set()
        """Who was handed listeners or routes, answered or not."""
        self.seconds: float | None = None
        self._convergence = convergence

    def handed(self, group: Hashable, changes: Iterable[tuple[str, Iterable[str]]]) -> None:
        """The change was handed over for a group: the types that it touches, each with the changed names."""
        now = self._convergence.now()
        for type_url, names in changes:
            for number in self._convergence.asking(group, type_url, names):
                self.waiting[number, type_url] = now
                self.concerned.add(number)
                if type_url in USERS:
                    self.users.add(number)

    async def answered(self, groups: Iterable[Hashable], seconds: float) -> None:
        """Wait until these groups have answered what they were handed, and what they then asked for; at most
        for so long. A client that owes an answer to an earlier change for so long is not waited for."""
        await self._convergence.answered(self, groups, seconds)

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
        self._owed: list[_Owed] = []

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

    async def answered(self, push: Push, groups: Iterable[Hashable], seconds: float) -> None:
        """Wait as `Push.answered` says. Listeners and routes are sent when clusters are accepted: of a client
        that is given some, their answers are the last."""
        numbers = {number for group in groups for number in self._wishes.get(group, ())}
        since = self.now() - seconds
        numbers -= {number for each in self._pushes for (number, _), at in each.waiting.items() if at < since}
        waiting = {key: at for key, at in push.waiting.items() if key[0] in numbers}
        owed = _Owed({key: at for key, at in waiting.items() if key[0] not in push.users or key[1] in USERS})
        self._owed.append(owed)
        with contextlib.suppress(TimeoutError):
            try:
                async with asyncio.timeout(seconds):
                    await owed.given()
            finally:
                self._owed.remove(owed)

    def on_event(self, event: xds.Event) -> None:
        """Take an event of the discovery server."""
        match event:
            case xds.Subscribed(client, type_url, wildcard, names):
                wishes = self._wishes.setdefault(client.group, {}).setdefault(client.number, {})
                before = wishes.get(type_url)
                wishes[type_url] = _Wish(wildcard, names)
                if self._owed and (before is None or not names <= before.names):
                    for owed in self._owed:
                        owed.asked(client.number, type_url, self.now())
            case xds.Acked(client, type_url, waited=waited):
                # The answer to what was sent before the change was handed over says nothing about the change.
                self._answered(client.number, type_url, self.now() - waited)
            case xds.Rejected(client, type_url) | xds.Recovered(client, type_url):
                self._answered(client.number, type_url, self.now())
            case xds.Disconnected(client):
                clients = self._wishes.get(client.group, {})
                for type_url in clients.pop(client.number, {}):
                    self._answered(client.number, type_url, self.now())
                if not clients:
                    self._wishes.pop(client.group, None)

    def _answered(self, number: int, type_url: str, sent: float) -> None:
        key = (number, type_url)
        for owed in self._owed:
            owed.answered(key, sent)
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
