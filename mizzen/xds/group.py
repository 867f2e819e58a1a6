"""A group of clients that are given the same: its snapshot, and what of it was refused."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from weakref import WeakKeyDictionary

from mizzen.xds.accepted import Accepted
from mizzen.xds.names import NamePool
from mizzen.xds.resource import Resource
from mizzen.xds.retries import APART, Retry
from mizzen.xds.snapshot import Change, Collection, Snapshot
from mizzen.xds.warming import Interrupted

_QUARANTINE_SIZE = 10_000
"""So many refused versions are remembered; the oldest is forgotten first, and is tried again."""

_FEW = 16
"""So many refused versions cost next to nothing."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A resource that a client of the group refused.

    Attributes:
        resource: what was refused.
        stand_in: the version that the client had accepted before and that is sent in its place; None:
            nothing is.
        message: the client's words.
        retry: when the client is asked again, and how often it refused.
    """

    resource: Resource
    stand_in: Resource | None
    message: str
    retry: Retry = field(default=Retry(), compare=False)

    @property
    def form(self) -> Resource:
        """What the client is asked again with: never the bytes that it refused last, if there are others."""
        again = self.resource.again
        return self.resource if again is None or self.retry.refusals % 2 == 0 else again


class Group:
    """The snapshot of a group.

    Attributes:
        snapshot: what the owner set; None as long as it set nothing.
        interrupted: what clients were waiting for when their streams ended.
        retry_from: when a client may be asked again for something that it refused, at the earliest.
    """

    def __init__(
        self, key: Hashable, snapshot: Snapshot | None = None, *, names: NamePool | None = None
    ) -> None:
        self.key = key
        self.snapshot: Snapshot | None = None
        self._effective: Snapshot | None = None
        self._unsettled = False
        self._quarantine: dict[tuple[str, str, str], Quarantined] = {}
        self._acceptable: WeakKeyDictionary[Collection, Collection | None] = WeakKeyDictionary()
        self._held: tuple[Quarantined, ...] | None = None
        self.retry_from = -inf
        self.interrupted = Interrupted()
        self._accepted: dict[str, Accepted] = {}
        self._names = names if names is not None else NamePool()
        if snapshot is not None:
            self.set(snapshot)

    def set(self, snapshot: Snapshot) -> None:
        """Put another snapshot in the place of the present one.

        What of it was refused is looked for when the first client asks: who sets the snapshots of many groups
        must not wait for those that refused much.
        """
        self.snapshot = snapshot
        self._effective = snapshot
        self._held = None
        self._unsettled = bool(self._quarantine)

    @property
    def effective(self) -> Snapshot | None:
        """The snapshot with every quarantined resource replaced: this is what clients are brought to."""
        self._settle()
        return self._effective

    def _settle(self) -> None:
        if self._unsettled:
            self._unsettled = False
            self._replace([self._renew(entry.resource) for entry in self.held])

    def update(self, changed: Iterable[Resource] = (), removed: Iterable[tuple[str, str]] = ()) -> Change:
        """Change some resources, at the cost of these; return what really changed for the clients."""
        self._settle()
        self.snapshot, change = (self.snapshot or Snapshot()).updated(changed, removed)
        self._held = None
        if not change:
            if self.effective is None:
                self._effective = self.snapshot
            return change
        wanted: list[Resource] = []
        gone = list(change.removed)
        for resource in change.changed:
            if not self.is_quarantined(resource):
                wanted.append(resource)
            elif (stand_in := self._renew(resource).stand_in) is not None:
                wanted.append(stand_in)
            else:
                gone.append((resource.type_url, resource.name))
        self._effective, change = (self.effective or Snapshot()).updated(wanted, gone)
        if not change and self._quarantine:
            # What was refused may be wanted no longer: streams see another snapshot, and look.
            self.set(self.snapshot)
        return change

    def record(self, type_url: str) -> Accepted:
        """What clients accepted of a type."""
        found = self._accepted.get(type_url)
        if found is None:
            found = self._accepted[type_url] = Accepted()
        return found

    def accepted(
        self,
        names: frozenset[str] | None,
        collection: Collection,
        before: Collection | None = None,
        names_before: frozenset[str] | None = None,
    ) -> None:
        """A client that asks for these names, or for all, accepted this, and had accepted `before` when it
        asked for `names_before`; it is what to go back to when a later version is refused.
        """
        if collection.resources or collection.type_url in self._accepted:  # clients may ask for any type
            self.record(collection.type_url).add(names, collection, before, names_before)

    def good(self, type_url: str, name: str) -> Resource | None:
        """The version of a resource that was last accepted and that no client refused."""
        record = self._accepted.get(type_url)
        if record is None:
            return None
        return next((each for each in record.versions(name) if not self.is_quarantined(each)), None)

    def quarantine(
        self, resources: Iterable[Resource], message: str, client: str = "", now: float = 0.0
    ) -> None:
        """Send these versions of these resources no more, but the last ones that were accepted, or nothing.
        The client with this node id, which refused them, is asked again in time (`next_retry`).
        """
        refused = tuple(resources)
        self._settle()
        for resource in refused:  # all of them first: none can stand in for itself
            key = resource.type_url, resource.name, resource.version
            before = self._quarantine.get(key)
            retry = (before.retry if before is not None else Retry()).refused(client, now)
            self._quarantine[key] = Quarantined(resource, None, message, retry)
        entries = [self._renew(resource) for resource in refused]
        while len(self._quarantine) > _QUARANTINE_SIZE:
            self._quarantine.pop(next(iter(self._quarantine)))
        self._acceptable = WeakKeyDictionary()
        self._held = None
        # What one client accepted, another may refuse: then it cannot stand in for anything.
        entries += [
            self._renew(other.resource)
            for other in self.held
            if other.stand_in is not None and self.is_quarantined(other.stand_in)
        ]
        self._replace(entries)

    def acceptable(self, collection: Collection) -> Collection:
        """A collection without what was refused: clients may be on their way to a snapshot that was effective
        before the refusal.
        """
        if not self._quarantine:
            return collection
        if collection not in self._acceptable:
            self._acceptable[collection] = self._cleaned(collection)
        cleaned = self._acceptable[collection]
        return cleaned if cleaned is not None else collection

    def _cleaned(self, collection: Collection) -> Collection | None:
        good: list[Resource] = []
        gone: list[str] = []
        for entry in self._quarantine.values():
            refused = entry.resource
            found = (
                collection.resources.get(refused.name) if refused.type_url == collection.type_url else None
            )
            if found is None or found.version != refused.version:
                continue
            if entry.stand_in is not None:
                good.append(entry.stand_in)
            else:
                gone.append(refused.name)
        return collection.updated(good, gone) if good or gone else None

    def _renew(self, refused: Resource) -> Quarantined:
        """The entry of a refused resource that is wanted again; something newer may have been accepted
        meanwhile.
        """
        key = refused.type_url, refused.name, refused.version
        entry = self._quarantine[key]
        good = self.good(refused.type_url, refused.name)
        stale = entry.stand_in is not None and self.is_quarantined(entry.stand_in)
        if stale or (good is not None and good is not entry.stand_in):
            entry = self._quarantine[key] = replace(entry, resource=refused, stand_in=good)
            self._acceptable = WeakKeyDictionary()
            self._held = None
        return entry

    def is_quarantined(self, resource: Resource) -> bool:
        """Whether this version was refused."""
        return (resource.type_url, resource.name, resource.version) in self._quarantine

    def next_retry(
        self, client: str, can_take: Mapping[str, Callable[[Resource], bool]]
    ) -> tuple[float, Quarantined] | None:
        """Return what the client refused and is to be asked again first, and when; None if there is nothing.

        `can_take` tells by type URL whether a resource can be sent to the client now.
        """
        mine = (
            entry
            for entry in self.held
            if entry.retry.client == client
            and (able := can_take.get(entry.resource.type_url)) is not None
            and able(entry.resource)
        )
        first = min(mine, key=lambda each: each.retry.at, default=None)
        return (max(first.retry.at, self.retry_from), first) if first is not None else None

    def retried(self, entry: Quarantined, now: float) -> None:
        """The client was asked again; whatever comes of it, the next attempts wait."""
        resource = entry.resource
        key = resource.type_url, resource.name, resource.version
        self._quarantine[key] = replace(entry, retry=entry.retry.begun(now))
        self._held = None
        self.retry_from = now + APART

    def release(self, resource: Resource) -> Quarantined | None:
        """Send this version to all that ask for it: the client that refused it has accepted it. Return what
        was known of the refusal."""
        entry = self._quarantine.pop((resource.type_url, resource.name, resource.version), None)
        if entry is not None and self.snapshot is not None:
            self._acceptable = WeakKeyDictionary()
            self.set(self.snapshot)
        return entry

    @property
    def quarantined(self) -> bool:
        """Whether anything was ever refused."""
        return bool(self._quarantine)

    @property
    def costly(self) -> bool:
        """Whether so much was refused that each change costs much."""
        return len(self._quarantine) > _FEW

    @property
    def held(self) -> tuple[Quarantined, ...]:
        """What the snapshot holds and clients are not sent because it was refused."""
        if self._held is None:
            self._held = tuple(filter(None, map(self._wanted, self._quarantine.values())))
        return self._held

    def _wanted(self, entry: Quarantined) -> Quarantined | None:
        """Return the entry with the resource of the snapshot, which may have other origins than the one that
        was refused; None if the snapshot no longer holds that version."""
        resource = entry.resource
        wanted = self.snapshot.get(resource.type_url, resource.name) if self.snapshot is not None else None
        if wanted is None or wanted.version != resource.version:
            return None
        return entry if wanted is resource else replace(entry, resource=wanted)

    def _is_wanted(self, resource: Resource) -> bool:
        wanted = self.snapshot.get(resource.type_url, resource.name) if self.snapshot is not None else None
        return wanted is not None and wanted.version == resource.version

    def _replace(self, entries: Iterable[Quarantined]) -> None:
        """Put the stand-ins in the place of what was refused, all at once."""
        wanted = [entry for entry in entries if self._is_wanted(entry.resource)]
        if self._effective is None or not wanted:
            return
        good = [entry.stand_in for entry in wanted if entry.stand_in is not None]
        gone = [(e.resource.type_url, e.resource.name) for e in wanted if e.stand_in is None]
        self._effective, _ = self._effective.updated(good, gone)

    def share(self, type_url: str, names: frozenset[str], fresh: frozenset[str]) -> frozenset[str]:
        """An equal set that another client holds already: like clients ask for the same. `fresh` are those
        of the names that came just now.
        """
        known: Mapping[str, Resource] = (
            self.effective.collection(type_url).resources if self.effective is not None else {}
        )
        return self._names.share(names, known, fresh)
