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

_CHANGES_TRACKED = 1000
RECENT: Final = 100
"""Number of the latest changes that are remembered for display."""


@dataclass(frozen=True, slots=True)
class _Subscription:
    """The names of one type that a client asks for."""

    wildcard: bool
    names: frozenset[str]


class _AwaitedAnswers:
    """The answers that some clients owe, and since when: to a change, and to what they ask for after it. A
    new listener asks for its routes and certificates before Envoy accepts it, and is in use when it has them.
    """

    def __init__(self, owed: dict[tuple[int, str], float]) -> None:
        self._owed = owed
        self._numbers = {number for number, _ in owed}
        self._all_answered = asyncio.Event()
        self._look()

    async def all_answered(self) -> None:
        """Wait until all answers have come."""
        await self._all_answered.wait()

    def asked(self, number: int, type_url: str, now: float) -> None:
        """A client asks for further names of a type."""
        if number in self._numbers:
            self._owed[number, type_url] = now

    def answered(self, key: tuple[int, str], sent: float) -> None:
        """A client has answered a response that was sent at `sent`."""
        if self._owed.get(key, sent + 1) <= sent:
            del self._owed[key]
            self._look()

    def _look(self) -> None:
        if not self._owed:
            self._all_answered.set()


class Push:
    """Tracks one change: the clients that were sent it, when, and which have not answered yet.

    `documents` are names of some changed documents, and `more` is the number of the rest; `concerned` are the
    numbers of the clients that the change is for. `seconds` is the time until the last answer; None while one
    is missing, or if the change concerned no client.
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
        """Numbers of the clients that were sent listeners or routes, answered or not."""
        self.seconds: float | None = None
        self._convergence = convergence

    def handed(self, group: Hashable, changes: Iterable[tuple[str, Iterable[str]]]) -> None:
        """Record that the change was handed over for a group: the changed types, each with its names."""
        now = self._convergence.now()
        for number, subscriptions in self._convergence.subscriptions.get(group, {}).items():
            for type_url, names in changes:
                asked = subscriptions.get(type_url)
                if asked is not None and (asked.wildcard or not asked.names.isdisjoint(names)):
                    self.waiting[number, type_url] = now
                    self.concerned.add(number)
                    if type_url in USERS:
                        self.users.add(number)

    async def answered(self, groups: Iterable[Hashable], seconds: float) -> None:
        """Wait until these groups have answered the change and what they asked for after it, at most
        `seconds` long. Clients that have owed an answer to an earlier change for that long are left out."""
        await self._convergence.answered(self, groups, seconds)

    def done(self) -> None:
        """The change was handed over for every group that it concerns."""
        self.handing_over = False
        self._convergence.settle()

    def as_json(self) -> dict[str, Any]:
        """Return the change as JSON values: its time, its documents, the number of proxies that it concerned
        and of those that have answered, and the seconds until the last answer."""
        return {
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "documents": list(self.documents),
            "more": self.more,
            "concerned": len(self.concerned),
            "answered": len(self.concerned - {number for number, _ in self.waiting}),
            "seconds": None if self.seconds is None else round(self.seconds, 4),
        }


class Convergence:
    """Tracks each change, from the moment when it is seen to the last ACK or NACK of a proxy that it
    concerns.

    The events of `xds.Server` tell what each client asks for. A change concerns a client if it changes a
    resource that the client asks for. Removals alone are not tracked, because they wait for a grace time on
    purpose. `observe` is called with the seconds of each change that concerned a client. If more than a
    thousand changes wait for answers, the oldest are dropped.
    """

    def __init__(self, observe: Callable[[float], None], clock: Callable[[], float]) -> None:
        self.now = clock
        self._observe = observe
        self.subscriptions: dict[Hashable, dict[int, dict[str, _Subscription]]] = {}
        """What each client of a group asks for, by the client's number and the type."""
        self._pushes: list[Push] = []
        self._recent: deque[Push] = deque(maxlen=RECENT)
        self._owed: list[_AwaitedAnswers] = []

    @property
    def unsettled(self) -> int:
        """Number of changes that at least one proxy has not answered yet."""
        return len(self._pushes)

    @property
    def recent(self) -> list[Push]:
        """The latest changes, newest first."""
        return list(reversed(self._recent))

    def begin(self, seen: float, documents: Sequence[str] = (), more: int = 0) -> Push:
        """Start to track a change that was seen at the time `seen`: of `documents`, and of `more` others."""
        push = Push(self, seen, documents, more)
        self._pushes.append(push)
        self._recent.append(push)
        del self._pushes[:-_CHANGES_TRACKED]
        return push

    async def answered(self, push: Push, groups: Iterable[Hashable], seconds: float) -> None:
        """Wait as `Push.answered` says. Listeners and routes are sent after clusters are accepted, so of a
        client that gets some, only the answers to these are waited for."""
        numbers = {number for group in groups for number in self.subscriptions.get(group, ())}
        since = self.now() - seconds
        numbers -= {number for each in self._pushes for (number, _), at in each.waiting.items() if at < since}
        waiting = {key: at for key, at in push.waiting.items() if key[0] in numbers}
        owed = _AwaitedAnswers(
            {key: at for key, at in waiting.items() if key[0] not in push.users or key[1] in USERS}
        )
        self._owed.append(owed)
        with contextlib.suppress(TimeoutError):
            try:
                async with asyncio.timeout(seconds):
                    await owed.all_answered()
            finally:
                self._owed.remove(owed)

    def on_event(self, event: xds.Event) -> None:
        """Handle an event of the discovery server."""
        match event:
            case xds.Acked(client, type_url, waited=waited):
                # An answer to a response from before the change says nothing about the change.
                self._answered(client.number, type_url, self.now() - waited)
            case xds.Subscribed(client, type_url, wildcard, names):
                subscriptions = self.subscriptions.setdefault(client.group, {}).setdefault(client.number, {})
                before = subscriptions.get(type_url)
                subscriptions[type_url] = _Subscription(wildcard, names)
                if self._owed and (before is None or not names <= before.names):
                    for owed in self._owed:
                        owed.asked(client.number, type_url, self.now())
            case xds.Rejected(client, type_url) | xds.Recovered(client, type_url):
                self._answered(client.number, type_url, self.now())
            case xds.Disconnected(client):
                clients = self.subscriptions.get(client.group, {})
                for type_url in clients.pop(client.number, {}):
                    self._answered(client.number, type_url, self.now())
                if not clients:
                    self.subscriptions.pop(client.group, None)

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
        """Report the changes that all their clients have answered."""
        still = []
        for push in self._pushes:
            if push.waiting or push.handing_over:
                still.append(push)
            elif push.concerned:
                push.seconds = self.now() - push.seen
                self._observe(push.seconds)
        self._pushes = still
