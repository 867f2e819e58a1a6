"""Make before break: in which order the parts of a change reach a client.

The section "Eventual consistency considerations" of the specification asks for it.

A change of clusters goes first, with the endpoints of every changed cluster at once behind it. Envoy holds
back the ACK of clusters until they are warm, so the ACK is the sign that listeners and routes may use
them. Clusters (and their endpoints and secrets) that are no longer wanted stay until the client has
accepted listeners and routes that do not need them, and for a grace time after that. So do the endpoints of
a load assignment that becomes empty, if listeners or routes change with it: these may lead to other clusters
now. All else about endpoints and secrets never waits.

`TABLE` is all there is to it. Every wait has a bound: a response that is not answered in time counts as
settled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import Enum
from types import MappingProxyType
from typing import Final

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection, Snapshot
from mizzen.xds.type_urls import (
    CLUSTER,
    ENDPOINT,
    EXTENSION_CONFIG,
    LISTENER,
    ROUTE,
    SCOPED_ROUTE,
    SECRET,
    VIRTUAL_HOST,
)

USERS: Final = (EXTENSION_CONFIG, ROUTE, VIRTUAL_HOST, SCOPED_ROUTE, LISTENER)
"""Types that refer to clusters, and so wait for them, in the order in which they are sent.

What a listener refers to goes before it, if the client has asked for it already. As long as an old listener
drains, Envoy keeps the routes that it used; a new listener that names them is in service at once, with routes
as old as they are, and these may lead to clusters that have gone. Routes that the client does not know yet
are asked for after the listener, and so come after it.
"""

RETAINED: Final = (CLUSTER, ENDPOINT, SECRET)
"""Types whose removal waits until nothing that the client uses can refer to them."""

_ORDERED: Final = frozenset({CLUSTER, *USERS})
"""Types with an order between them. A change that touches none of them, as of endpoints, passes at once."""


@dataclass(frozen=True, slots=True)
class MakeBeforeBreak:
    """The policy that loses no request on a change.

    Attributes:
        warm_timeout: how long listeners and routes wait for clusters to become warm.
        stuck_timeout: the same, while an earlier response with clusters is still unanswered: one cluster
            that never warms withholds all ACKs, and later changes should not wait the whole time again.
        answer_timeout: how long to wait for the answer to any other response.
        grace: how long unused clusters stay after the client has accepted what no longer uses them.

    Raises:
        TypeError: a time is not a `timedelta`.
        ValueError: one of them is negative.
    """

    warm_timeout: timedelta = timedelta(seconds=10)
    stuck_timeout: timedelta = timedelta(seconds=1)
    answer_timeout: timedelta = timedelta(seconds=10)
    grace: timedelta = timedelta(seconds=2)

    def __post_init__(self) -> None:
        _check_times(self)


@dataclass(frozen=True, slots=True)
class Unordered:
    """The policy that sends everything at once; one response of each type is in flight at a time.

    Raises:
        TypeError: a time is not a `timedelta`.
        ValueError: one of them is negative.
    """

    warm_timeout: timedelta = timedelta(seconds=10)
    stuck_timeout: timedelta = timedelta(seconds=1)
    answer_timeout: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        _check_times(self)


Policy = MakeBeforeBreak | Unordered


def _check_times(policy: Policy) -> None:
    for field in fields(policy):
        value = getattr(policy, field.name)
        if not isinstance(value, timedelta):
            raise TypeError(f"{field.name} is a timedelta, not {value!r}")
        if value < timedelta():
            raise ValueError(f"{field.name} must not be negative: {value}")


class Phase(Enum):
    """Where a client stands."""

    REST = "rest"
    WARMING = "warming"
    SWITCHING = "switching"

    __hash__ = (
        object.__hash__
    )  # members are single objects; Enum's own hash is slow, and the table is asked often


class Arrival(Enum):
    """What moves it on."""

    CHANGED = "a snapshot whose clusters were not offered yet"
    CLUSTERS_SETTLED = "clusters accepted, or overdue"
    USERS_SETTLED = "listeners and routes accepted, or overdue"

    __hash__ = object.__hash__


class Step(Enum):
    """What is done about it."""

    OFFER = "send new and changed clusters, keep the old; their endpoints at once behind them"
    SWITCH = "send listeners and routes"
    RELEASE = "let go of unused clusters after the grace time"


TABLE: Final[Mapping[tuple[Phase, Arrival], tuple[Step, Phase]]] = MappingProxyType(
    {
        (Phase.REST, Arrival.CHANGED): (Step.OFFER, Phase.WARMING),
        (Phase.WARMING, Arrival.CHANGED): (Step.OFFER, Phase.WARMING),
        (Phase.WARMING, Arrival.CLUSTERS_SETTLED): (Step.SWITCH, Phase.SWITCHING),
        (Phase.WARMING, Arrival.USERS_SETTLED): (Step.RELEASE, Phase.WARMING),
        (Phase.SWITCHING, Arrival.CHANGED): (Step.OFFER, Phase.WARMING),
        (Phase.SWITCHING, Arrival.USERS_SETTLED): (Step.RELEASE, Phase.REST),
    }
)
"""(phase, what arrives) -> (what is done, next phase).

A change that comes while clusters are in flight arrives when they are settled: one response of a type is in
flight, and the listeners and routes of the first change must not starve under a stream of further changes.
It arrives while warming if the clusters were refused, so that what takes their place is offered first.
What is not in the table cannot happen.
"""

_LONGEST = 20
"""So many grace times what went while a client was away may stay."""

_Key = tuple[str, str]

Holds = Callable[[Resource], Resource | None]
"""What a client may still need in the place of a resource that is removed."""


class Gate:
    """The order for one stream: which collection of each type it may be brought to now.

    Attributes:
        phase: where the client stands.
        departs_at: when what went while the client was away may be taken from it; None as long as it was not
            brought to listeners and routes on this stream.
    """

    __slots__ = (
        "_departs_latest",
        "_goal",
        "_grace",
        "_leaving",
        "_offered",
        "_released",
        "_retained",
        "_warm",
        "departs_at",
        "phase",
    )

    def __init__(self, grace: timedelta) -> None:
        self.phase = Phase.REST
        self._grace = grace.total_seconds()
        self._goal: Snapshot | None = None
        self._offered: Snapshot | None = None
        self._warm: Snapshot | None = None
        self._released: Snapshot | None = None
        self._retained: dict[_Key, Resource] = {}
        self._leaving: dict[_Key, float] = {}
        self.departs_at: float | None = None
        self._departs_latest = 0.0

    def begin(self) -> None:
        """The client asks for clusters for the first time: nothing that refers to them may be sent before
        them.
        """
        self.phase = Phase.REST
        self._offered = self._warm = self._released = None
        self.departs_at = None

    def answered(self, now: float) -> None:
        """The client answered for listeners or routes: what went while it was away stays for a grace time
        after that, though not for ever where they change all the time.
        """
        if self.departs_at is not None:
            self.departs_at = min(now + self._grace, self._departs_latest)

    def aim(self, goal: Snapshot, now: float, holds: Holds) -> None:
        """Take note of the newest snapshot, and let go of what has been kept long enough.

        `holds` tells what of a removed resource must be kept for the client.
        """
        if goal is not self._goal:
            old, self._goal = self._goal, goal
            if old is not None:
                self._change(old, goal, holds)
        if self._leaving:
            for key in [key for key, due in self._leaving.items() if due <= now]:
                del self._leaving[key]
                self._retained.pop(key, None)

    def _change(self, old: Snapshot, new: Snapshot, holds: Holds) -> None:
        passage = new.passage(old, RETAINED)
        emptied = () if passage.types.isdisjoint(USERS) else passage.emptied
        for resource in (*passage.departed, *emptied):
            held = holds(resource)
            if held is not None:
                self._retained[held.type_url, held.name] = held
        if self._retained:
            at_once = () if emptied else ((each.type_url, each.name) for each in passage.emptied)
            for key in (*passage.arrived, *at_once):
                self._retained.pop(key, None)
                self._leaving.pop(key, None)
        elif self._released is old and self.phase is Phase.REST and passage.types.isdisjoint(_ORDERED):
            self._offered = self._warm = self._released = new

    def arrive(self, arrival: Arrival, now: float) -> None:
        """Move on if the table says so."""
        row = TABLE.get((self.phase, arrival))
        if row is None:
            return
        step, self.phase = row
        if step is Step.OFFER:
            self._offered = self._goal
        elif step is Step.SWITCH:
            self._warm = self._offered
        elif step is Step.RELEASE:
            self._release(now)

    def _release(self, now: float) -> None:
        self._released = warm = self._warm
        assert warm is not None
        if self.departs_at is None:
            self.departs_at = now + self._grace
            self._departs_latest = now + _LONGEST * self._grace
        for key in self._retained:
            # The routes that the client accepted may still be those of an older snapshot, which has the
            # cluster.
            now_there = warm.get(*key)
            if key not in self._leaving and (now_there is None or now_there.empty):
                self._leaving[key] = now + self._grace

    def resting_on(self, goal: Snapshot) -> bool:
        """Whether the client was sent all of this snapshot, and nothing is kept for it besides."""
        return self.phase is Phase.REST and self._warm is goal and not self._retained

    @property
    def changed(self) -> bool:
        """Whether there are clusters that were not offered."""
        return self._offered is not self._goal

    @property
    def unreleased(self) -> bool:
        """Whether `USERS_SETTLED` would be news."""
        return self._warm is not None and self._released is not self._warm

    @property
    def deadline(self) -> float | None:
        """When the next resource has been kept long enough."""
        return min(self._leaving.values()) if self._leaving else None

    def target(self, type_url: str) -> Collection | None:
        """What a client may be brought to; None as long as it must wait."""
        if type_url in USERS:
            return self._warm.collection(type_url) if self._warm is not None else None
        snapshot = self._offered if type_url == CLUSTER else self._goal
        if snapshot is None:
            return None
        collection = snapshot.collection(type_url)
        if not self._retained:
            return collection
        return collection.retaining(r for (t, _), r in self._retained.items() if t == type_url)
