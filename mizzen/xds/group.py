"""A group of clients with the same snapshot: the snapshot, and the resources that clients rejected."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from weakref import WeakKeyDictionary

from mizzen.xds.accepted import Accepted
from mizzen.xds.names import NamePool
from mizzen.xds.resource import Resource
from mizzen.xds.retries import APART, Retry
from mizzen.xds.snapshot import Change, Collection, Snapshot
from mizzen.xds.warming import InterruptedStreams

_MOST_REJECTED = 10_000
"""Most rejected versions that are remembered. The oldest is forgotten first, and is then sent again."""

_FEW = 16
"""Up to this number, rejected versions do not make a change slower."""


@dataclass(frozen=True, slots=True)
class RejectedResource:
    """A resource that a client of the group rejected.

    Attributes:
        resource: the rejected resource.
        replacement: the version that is sent in its place, the last one that clients accepted; None if
            nothing is sent.
        message: the client's words.
        retry: when the resource is tried again, and how many times it was rejected.
    """

    resource: Resource
    replacement: Resource | None
    message: str
    retry: Retry = field(default=Retry(), compare=False)

    @property
    def form(self) -> Resource:
        """The resource for the next retry: with different bytes than the last time, if it has two forms
        (`Resource.again`).
        """
        again = self.resource.again
        return self.resource if again is None or self.retry.rejections % 2 == 0 else again


class Group:
    """The snapshot of a group, and the resources in it that clients rejected.

    Attributes:
        snapshot: the snapshot that the owner set; None until then.
        interrupted: what clients were waiting for when their streams ended.
        retry_from: the earliest time of the next retry of a rejected resource.
        has_rejected: any rejected version is remembered.
        costly: so many versions were rejected that each change is costly.
    """

    def __init__(
        self, key: Hashable, snapshot: Snapshot | None = None, *, names: NamePool | None = None
    ) -> None:
        self.key = key
        self.snapshot: Snapshot | None = None
        self._effective: Snapshot | None = None
        self._unsettled = False
        self._rejected: dict[tuple[str, str, str], RejectedResource] = {}
        self.has_rejected = False
        self.costly = False
        self._acceptable: WeakKeyDictionary[Collection, Collection | None] = WeakKeyDictionary()
        self._still_wanted: tuple[RejectedResource, ...] | None = None
        self.retry_from = -inf
        self.interrupted = InterruptedStreams()
        self._accepted: dict[str, Accepted] = {}
        self._names = names if names is not None else NamePool()
        if snapshot is not None:
            self.set(snapshot)

    def set(self, snapshot: Snapshot) -> None:
        """Replace the snapshot.

        Rejected resources are replaced when the first client asks (`effective`), not here: a caller that sets
        the snapshots of many groups must not wait for groups with many rejected resources.
        """
        self.snapshot = snapshot
        self._effective = snapshot
        self._still_wanted = None
        self._unsettled = bool(self._rejected)

    @property
    def effective(self) -> Snapshot | None:
        """The snapshot that clients get: every rejected resource is replaced, or left out."""
        if self._unsettled:
            self._settle()
        return self._effective

    def _settle(self) -> None:
        if self._unsettled:
            self._unsettled = False
            self._replace([self._renew(entry.resource) for entry in self.rejected])

    def update(self, changed: Iterable[Resource] = (), removed: Iterable[tuple[str, str]] = ()) -> Change:
        """Change some resources, at a cost that depends on these alone; return what changed for clients."""
        self._settle()
        self.snapshot, change = (self.snapshot or Snapshot()).updated(changed, removed)
        self._still_wanted = None
        if not change:
            if self.effective is None:
                self._effective = self.snapshot
            return change
        wanted: list[Resource] = []
        gone = list(change.removed)
        for resource in change.changed:
            if not self.is_rejected(resource):
                wanted.append(resource)
            elif (replacement := self._renew(resource).replacement) is not None:
                wanted.append(replacement)
            else:
                gone.append((resource.type_url, resource.name))
        self._effective, change = (self.effective or Snapshot()).updated(wanted, gone)
        if not change and self._rejected:
            # A rejected resource may be gone from the snapshot. A new snapshot object makes streams check.
            self.set(self.snapshot)
        return change

    def record(self, type_url: str) -> Accepted:
        """The record of what clients accepted of a type; made if there is none."""
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
        """Record that a client asking for `names` (None: all) accepted `collection`. The client had accepted
        `before` when it asked for `names_before`. A rejected later version is replaced from this record.
        """
        record = self._accepted.get(collection.type_url)
        if record is None:
            if not collection.resources:  # clients may ask for any type
                return
            record = self.record(collection.type_url)
        record.add(names, collection, before, names_before)

    def good(self, type_url: str, name: str) -> Resource | None:
        """The last accepted version of a resource that no client has rejected; None if there is none."""
        record = self._accepted.get(type_url)
        if record is None:
            return None
        return next((each for each in record.versions(name) if not self.is_rejected(each)), None)

    def reject(self, resources: Iterable[Resource], message: str, client: str = "", now: float = 0.0) -> None:
        """Stop sending these versions of these resources: send the last accepted versions, or nothing.
        `client` is the node id of the client that rejected them; it is asked again later (`next_retry`).
        """
        rejected = tuple(resources)
        self._settle()
        for resource in rejected:  # first record all: none of them may become a replacement below
            key = resource.type_url, resource.name, resource.version
            before = self._rejected.get(key)
            retry = (before.retry if before is not None else Retry()).rejected(client, now)
            self._rejected[key] = RejectedResource(resource, None, message, retry)
        entries = [self._renew(resource) for resource in rejected]
        while len(self._rejected) > _MOST_REJECTED:
            self._rejected.pop(next(iter(self._rejected)))
        self._count_rejected()
        self._acceptable = WeakKeyDictionary()
        self._still_wanted = None
        # One client may reject what another has accepted: then that cannot be a replacement any more.
        entries += [
            self._renew(other.resource)
            for other in self.rejected
            if other.replacement is not None and self.is_rejected(other.replacement)
        ]
        self._replace(entries)

    def acceptable(self, collection: Collection) -> Collection:
        """The collection with rejected resources replaced or left out. Streams may still be sending a
        snapshot that was effective before the rejection.
        """
        if not self._rejected:
            return collection
        if collection not in self._acceptable:
            self._acceptable[collection] = self._cleaned(collection)
        cleaned = self._acceptable[collection]
        return cleaned if cleaned is not None else collection

    def _cleaned(self, collection: Collection) -> Collection | None:
        good: list[Resource] = []
        gone: list[str] = []
        for entry in self._rejected.values():
            rejected = entry.resource
            found = (
                collection.resources.get(rejected.name) if rejected.type_url == collection.type_url else None
            )
            if found is None or found.version != rejected.version:
                continue
            if entry.replacement is not None:
                good.append(entry.replacement)
            else:
                gone.append(rejected.name)
        return collection.updated(good, gone) if good or gone else None

    def _renew(self, rejected: Resource) -> RejectedResource:
        """The current entry of a rejected resource that a snapshot has again. A newer version may have been
        accepted meanwhile; then that is the replacement.
        """
        key = rejected.type_url, rejected.name, rejected.version
        entry = self._rejected[key]
        good = self.good(rejected.type_url, rejected.name)
        stale = entry.replacement is not None and self.is_rejected(entry.replacement)
        if stale or (good is not None and good is not entry.replacement):
            entry = self._rejected[key] = replace(entry, resource=rejected, replacement=good)
            self._acceptable = WeakKeyDictionary()
            self._still_wanted = None
        return entry

    def is_rejected(self, resource: Resource) -> bool:
        """True if a client rejected this version."""
        return (resource.type_url, resource.name, resource.version) in self._rejected

    def next_retry(
        self, client: str, can_take: Mapping[str, Callable[[Resource], bool]]
    ) -> tuple[float, RejectedResource] | None:
        """Return the next retry of a resource that this client rejected: its time and entry; None if there is
        none. `can_take`, by type URL, tells whether a resource can be sent to the client now.
        """
        mine = (
            entry
            for entry in self.rejected
            if entry.retry.client == client
            and (able := can_take.get(entry.resource.type_url)) is not None
            and able(entry.resource)
        )
        first = min(mine, key=lambda each: each.retry.at, default=None)
        return (max(first.retry.at, self.retry_from), first) if first is not None else None

    def retried(self, entry: RejectedResource, now: float) -> None:
        """Record that a retry was sent. The next retries of the group wait, whatever the answer."""
        resource = entry.resource
        key = resource.type_url, resource.name, resource.version
        self._rejected[key] = replace(entry, retry=entry.retry.begun(now))
        self._still_wanted = None
        self.retry_from = now + APART

    def release(self, resource: Resource) -> RejectedResource | None:
        """Send this version to all clients that ask for it, because the client that rejected it has accepted
        it now. Return the entry that was deleted."""
        entry = self._rejected.pop((resource.type_url, resource.name, resource.version), None)
        self._count_rejected()
        if entry is not None and self.snapshot is not None:
            self._acceptable = WeakKeyDictionary()
            self.set(self.snapshot)
        return entry

    def _count_rejected(self) -> None:
        self.has_rejected = bool(self._rejected)
        self.costly = len(self._rejected) > _FEW

    @property
    def rejected(self) -> tuple[RejectedResource, ...]:
        """The rejected resources that the current snapshot has."""
        if self._still_wanted is None:
            self._still_wanted = tuple(filter(None, map(self._wanted, self._rejected.values())))
        return self._still_wanted

    def _wanted(self, entry: RejectedResource) -> RejectedResource | None:
        """Return the entry with the resource of the current snapshot, whose origins may differ from those of
        the rejected one; None if the snapshot no longer has that version."""
        resource = entry.resource
        wanted = self.snapshot.get(resource.type_url, resource.name) if self.snapshot is not None else None
        if wanted is None or wanted.version != resource.version:
            return None
        return entry if wanted is resource else replace(entry, resource=wanted)

    def _is_wanted(self, resource: Resource) -> bool:
        wanted = self.snapshot.get(resource.type_url, resource.name) if self.snapshot is not None else None
        return wanted is not None and wanted.version == resource.version

    def _replace(self, entries: Iterable[RejectedResource]) -> None:
        """Put the replacements of these entries into the effective snapshot, all at once."""
        wanted = [entry for entry in entries if self._is_wanted(entry.resource)]
        if self._effective is None or not wanted:
            return
        good = [entry.replacement for entry in wanted if entry.replacement is not None]
        gone = [(e.resource.type_url, e.resource.name) for e in wanted if e.replacement is None]
        self._effective, _ = self._effective.updated(good, gone)

    def share(self, type_url: str, names: frozenset[str], fresh: frozenset[str]) -> frozenset[str]:
        """The equal set of another client if there is one: many clients ask for the same names. `fresh` are
        the names among them that the client has just added.
        """
        known: Mapping[str, Resource] = (
            self.effective.collection(type_url).resources if self.effective is not None else {}
        )
        return self._names.share(names, known, fresh)
