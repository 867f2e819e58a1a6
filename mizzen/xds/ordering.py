"""Make before break: the order in which the parts of a change reach a client.

The section "Eventual consistency considerations" of the specification asks for it.

Changed clusters go first, and the endpoints of each changed cluster follow at once. Envoy delays the ACK of
clusters until they are warm, so after the ACK listeners and routes may use them. Removed clusters (with
their endpoints and secrets) stay until the client has accepted listeners and routes that do not need them,
and for a grace time after that. The endpoints of a load assignment that becomes empty stay in the same way
if listeners or routes change with it, because these may lead to other clusters now. All other changes of
endpoints and secrets are sent at once.

`TABLE` has the whole order. Every wait has a bound: a response that is not answered in time counts as
settled.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import Enum
from math import inf
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
"""Types that refer to clusters and therefore wait for them, in the order in which they are sent.

Routes go before listeners, if the client has asked for the routes already. While an old listener drains,
Envoy keeps the routes of that listener. A new listener that names them is in service at once, with these old
routes, and they may lead to removed clusters. Routes that the client does not know yet come after the
listener, because the client asks for them only then.
"""

RETAINED: Final = (CLUSTER, ENDPOINT, SECRET)
"""Types whose removed resources stay until nothing that the client uses can refer to them."""


@dataclass(frozen=True, slots=True)
class MakeBeforeBreak:
    """The policy with which no request is lost during a change.

    Attributes:
        warm_timeout: longest time that listeners and routes wait for clusters to become warm.
        stuck_timeout: the same while an earlier response with clusters is still unanswered. One cluster that
            never becomes warm delays all ACKs, and later changes should not wait the full time again.
        answer_timeout: longest wait for the answer to any other response.
        grace: time for which unused clusters stay after the client accepted listeners and routes without
            them.

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
    """The policy that sends everything at once, with one response of each type in flight.

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
    """The phase of a client in the order of a change."""

    REST = "rest"
    WARMING = "warming"
    SWITCHING = "switching"

    # Members are single objects. Enum's own hash is slow, and the table is read often.
    __hash__ = object.__hash__


class Arrival(Enum):
    """An event that may move a client to the next phase."""

    CHANGED = "a snapshot whose clusters were not offered yet"
    CLUSTERS_SETTLED = "clusters accepted, or overdue"
    USERS_SETTLED = "listeners and routes accepted, or overdue"

    __hash__ = object.__hash__


class Action(Enum):
    """What the server does then."""

    OFFER = "send new and changed clusters, keep the old; their endpoints at once behind them"
    SWITCH = "send listeners and routes"
    RELEASE = "let go of unused clusters after the grace time"


TABLE: Final[Mapping[tuple[Phase, Arrival], tuple[Action, Phase]]] = MappingProxyType(
    {
        (Phase.REST, Arrival.CHANGED): (Action.OFFER, Phase.WARMING),
        (Phase.WARMING, Arrival.CHANGED): (Action.OFFER, Phase.WARMING),
        (Phase.WARMING, Arrival.CLUSTERS_SETTLED): (Action.SWITCH, Phase.SWITCHING),
        (Phase.WARMING, Arrival.USERS_SETTLED): (Action.RELEASE, Phase.WARMING),
        (Phase.SWITCHING, Arrival.CHANGED): (Action.OFFER, Phase.WARMING),
        (Phase.SWITCHING, Arrival.USERS_SETTLED): (Action.RELEASE, Phase.REST),
    }
)
"""(phase, arrival) -> (action, next phase).

A change that comes while clusters are in flight arrives when they are settled: only one response of a type is
in flight, and the listeners and routes of the first change must not wait while further changes keep coming.
If the clusters were rejected, the change arrives while warming, so that their replacements are offered
first. A pair that is not in the table changes nothing.
"""

_LONGEST = 20
"""Most grace times for which resources stay that were removed while the client was away."""

_Key = tuple[str, str]

StillNeeded = Callable[[Resource], Resource | None]
"""Returns the resource to retain for a client instead of a removed one; None if the client needs none."""


class Gate:
    """The order for one stream: the collection of each type that may be sent now.

    Attributes:
        phase: the phase of the client.
        departs_at: when the client may be told of resources that were removed while it was away; None until
            it has accepted listeners and routes on this stream.
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
        """The client asks for clusters for the first time: send them before all that refers to them."""
        self.phase = Phase.REST
        self._offered = self._warm = self._released = None
        self.departs_at = None

    def answered(self, now: float) -> None:
        """The client answered a response with listeners or routes. Resources that were removed while it was
        away stay for a grace time after that; the total is bounded, for listeners that change all the time.
        """
        if self.departs_at is not None:
            self.departs_at = min(now + self._grace, self._departs_latest)

    def aim(self, goal: Snapshot, now: float, still_needed: StillNeeded) -> None:
        """Set the newest snapshot as the goal, and drop retained resources whose time is over.

        `still_needed` returns the resource to retain for the client instead of a removed one.
        """
        if goal is not self._goal:
            old, self._goal = self._goal, goal
            if old is not None:
                self._change(old, goal, still_needed)
        if self._leaving:
            for key in [key for key, due in self._leaving.items() if due <= now]:
                del self._leaving[key]
                self._retained.pop(key, None)

    def _change(self, old: Snapshot, new: Snapshot, still_needed: StillNeeded) -> None:
        difference = new.since(old, RETAINED)
        emptied = difference.emptied
        if emptied and difference.types.isdisjoint(USERS):
            emptied = ()
        if emptied or difference.departed:
            for resource in (*difference.departed, *emptied):
                needed = still_needed(resource)
                if needed is not None:
                    self._retained[needed.type_url, needed.name] = needed
        if self._retained:
            at_once = () if emptied else ((each.type_url, each.name) for each in difference.emptied)
            for key in (*difference.arrived, *at_once):
                self._retained.pop(key, None)
                self._leaving.pop(key, None)
        elif self._released is old and self.phase is Phase.REST and CLUSTER not in difference.types:
            self._offered = self._warm = self._released = new  # nothing has to wait for anything

    def arrive(self, arrival: Arrival, now: float) -> None:
        """Act, and go to the next phase, if the table has an entry for this arrival."""
        row = TABLE.get((self.phase, arrival))
        if row is None:
            return
        action, self.phase = row
        if action is Action.OFFER:
            self._offered = self._goal
        elif action is Action.SWITCH:
            self._warm = self._offered
        elif action is Action.RELEASE:
            self._release(now)

    def _release(self, now: float) -> None:
        self._released = warm = self._warm
        assert warm is not None
        if self.departs_at is None:
            self.departs_at = now + self._grace
            self._departs_latest = now + _LONGEST * self._grace
        for key in self._retained:
            # The client may have accepted routes of an older snapshot that still has the cluster.
            now_there = warm.get(*key)
            if key not in self._leaving and (now_there is None or now_there.empty):
                self._leaving[key] = now + self._grace

    def resting_on(self, goal: Snapshot) -> bool:
        """True if the client was sent all of this snapshot, and no removed resource is retained for it."""
        return self.phase is Phase.REST and self._warm is goal and not self._retained

    @property
    def changed(self) -> bool:
        """True if the newest snapshot was not offered yet."""
        return self._offered is not self._goal

    @property
    def unreleased(self) -> bool:
        """True if `USERS_SETTLED` has not arrived since the last `SWITCH`."""
        return self._warm is not None and self._released is not self._warm

    @property
    def deadline(self) -> float:
        """When the time of the next retained resource is over; infinite if there is none."""
        return min(self._leaving.values()) if self._leaving else inf

    def target(self, type_url: str) -> Collection | None:
        """The collection of a type that may be sent now; None while the type must wait."""
        if type_url in USERS:
            return self._warm.collection(type_url) if self._warm is not None else None
        snapshot = self._offered if type_url == CLUSTER else self._goal
        if snapshot is None:
            return None
        collection = snapshot.collection(type_url)
        if not self._retained:
            return collection
        return collection.retaining(r for (t, _), r in self._retained.items() if t == type_url)
