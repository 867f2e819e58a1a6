"""A group of clients that are given the same: its snapshot, and what of it was refused."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from mizzen.xds.batch import Batch
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Change, Collection, Snapshot

_QUARANTINE_SIZE = 1000
_SHARED_NAMES = 64


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A resource that a client of the group refused.

    Attributes:
        resource: what was refused.
        stand_in: the version that the client had accepted before and that is sent in its place; None:
            nothing is.
        message: the client's words.
    """

    resource: Resource
    stand_in: Resource | None
    message: str


class Group:
    """The snapshot of a group.

    Attributes:
        snapshot: what the owner set; None as long as it set nothing.
        good: by type and name, what was last accepted of that which is in the snapshot.
        effective: the same with every quarantined resource replaced: this is what clients are brought to.
    """

    def __init__(self, key: Hashable, snapshot: Snapshot | None = None) -> None:
        self.key = key
        self.snapshot: Snapshot | None = None
        self.effective: Snapshot | None = None
        self._quarantine: dict[tuple[str, str, str], Quarantined] = {}
        self._acceptable: WeakKeyDictionary[Collection, Collection | None] = WeakKeyDictionary()
        self.good: dict[tuple[str, str], Resource] = {}
        self._former: dict[tuple[str, str], Resource] = {}
        self._names: dict[frozenset[str], frozenset[str]] = {}
        if snapshot is not None:
            self.set(snapshot)

    def set(self, snapshot: Snapshot) -> None:
        """Put another snapshot in the place of the present one."""
        self.snapshot = snapshot
        self.effective = snapshot
        if (
            len(self.good) > 2 * len(snapshot) + _SHARED_NAMES
        ):  # seldom, so that a change costs what it touches
            for key in [key for key in self.good if snapshot.get(*key) is None]:
                self._forget(key)
        for entry in list(self._quarantine.values()):
            if self._is_wanted(entry.resource):
                self._replace(self._renew(entry.resource))

    def update(self, changed: Iterable[Resource] = (), removed: Iterable[tuple[str, str]] = ()) -> Change:
        """Change some resources, at the cost of these; return what really changed for the clients."""
        self.snapshot, change = (self.snapshot or Snapshot()).updated(changed, removed)
        if not change:
            if self.effective is None:
                self.effective = self.snapshot
            return change
        wanted: list[Resource] = []
        gone = list(change.removed)
        for key in change.removed:
            self._forget(key)
        for resource in change.changed:
            if not self.is_quarantined(resource):
                wanted.append(resource)
            elif (stand_in := self._renew(resource).stand_in) is not None:
                wanted.append(stand_in)
            else:
                gone.append((resource.type_url, resource.name))
        self.effective, change = (self.effective or Snapshot()).updated(wanted, gone)
        return change

    def accepted(self, batch: Batch) -> None:
        """A client accepted this; it is what to go back to when a later version is refused."""
        if batch.accepted:
            return  # the clients of a group accept the same, so this is usually so
        batch.accepted = True
        for resource in batch.resources:
            key = resource.type_url, resource.name
            old = self.good.get(key)
            if old is not None and old.version != resource.version:
                self._former[key] = old
            self.good[key] = resource
        for name in batch.removed:
            self._forget((batch.type_url, name))

    def quarantine(self, resource: Resource, message: str) -> None:
        """Never send this version of this resource again; send the last one that was accepted, or nothing."""
        key = resource.type_url, resource.name
        # What another client has accepted meanwhile may be the very same: then the one before it is good.
        known = (self.good.get(key), self._former.get(key))
        others = [each for each in known if each is not None and each.version != resource.version]
        good = next((each for each in others if not self.is_quarantined(each)), None)
        self._forget(key)
        if good is not None:
            self.good[key] = good
        entry = Quarantined(resource, good, message)
        self._quarantine[(*key, resource.version)] = entry
        while len(self._quarantine) > _QUARANTINE_SIZE:
            self._quarantine.pop(next(iter(self._quarantine)))
        self._acceptable = WeakKeyDictionary()
        self._replace(entry)
        for other in self.held:
            # What one client accepted, another may refuse: then it cannot stand in for anything.
            if other.stand_in is not None and self.is_quarantined(other.stand_in):
                self.quarantine(other.resource, other.message)

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
        key = refused.type_url, refused.name
        entry = self._quarantine[(*key, refused.version)]
        good = self.good.get(key)
        if good is not None and good is not entry.stand_in and not self.is_quarantined(good):
            entry = Quarantined(refused, good, entry.message)
            self._quarantine[(*key, refused.version)] = entry
            self._acceptable = WeakKeyDictionary()
        return entry

    def _forget(self, key: tuple[str, str]) -> None:
        self.good.pop(key, None)
        self._former.pop(key, None)

    def is_quarantined(self, resource: Resource) -> bool:
        """Whether this version was refused."""
        return (resource.type_url, resource.name, resource.version) in self._quarantine

    @property
    def quarantined(self) -> bool:
        """Whether anything was ever refused."""
        return bool(self._quarantine)

    @property
    def held(self) -> tuple[Quarantined, ...]:
        """What the snapshot holds and clients are not sent because it was refused."""
        return tuple(entry for entry in self._quarantine.values() if self._is_wanted(entry.resource))

    def _is_wanted(self, resource: Resource) -> bool:
        wanted = self.snapshot.get(resource.type_url, resource.name) if self.snapshot is not None else None
        return wanted is not None and wanted.version == resource.version

    def _replace(self, entry: Quarantined) -> None:
        if self.effective is None or not self._is_wanted(entry.resource):
            return
        if entry.stand_in is not None:
            self.effective, _ = self.effective.updated([entry.stand_in])
        else:
            self.effective, _ = self.effective.updated((), [(entry.resource.type_url, entry.resource.name)])

    def share(self, names: frozenset[str]) -> frozenset[str]:
        """An equal set that another client holds already: the clients of a group ask for the same."""
        if not names:
            return names
        found = self._names.get(names)
        if found is None:
            if len(self._names) >= _SHARED_NAMES:
                self._names.pop(next(iter(self._names)))
            found = self._names[names] = names
        return found
