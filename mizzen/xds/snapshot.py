"""Immutable sets of resources that share their common parts.

A `Collection` has all resources of one type, a `Snapshot` one collection for each type. The server remembers
what a client was sent as a pointer to a collection. What the client is owed is the difference of two
collections; it is computed once for all clients with the same pointers. So the cost of a change depends only
on the resources that it touches.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from weakref import ReferenceType, WeakKeyDictionary, WeakValueDictionary, ref

from mizzen.persistent import LayeredDict
from mizzen.xds.resource import Resource
from mizzen.xds.response import ResponseContent
from mizzen.xds.type_urls import PUSH_ORDER

_MODULUS = 1 << 96


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SnapshotDifference:
    """What differs between two snapshots.

    Attributes:
        types: the types with a difference.
        departed: removed resources of the requested types.
        emptied: load assignments that had endpoints and have none now, in their old version.
        arrived: the keys of all other new or changed resources of the requested types.
    """

    types: frozenset[str]
    departed: tuple[Resource, ...]
    emptied: tuple[Resource, ...]
    arrived: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """The effect of an update: `changed` are resources that are new or have a new version, `removed` the
    (type URL, name) of those that are gone.
    """

    changed: tuple[Resource, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)

    @property
    def type_urls(self) -> frozenset[str]:
        """The types with a changed or removed resource."""
        return frozenset([r.type_url for r in self.changed]) | {type_url for type_url, _ in self.removed}


class Difference:
    """The difference between an old collection and a new one.

    Attributes:
        content: the response for a client that asks for everything and has the old collection.
        changed: new and changed resources, by name.
        removed: names of removed resources.
        replaced: the old resource for each name in `changed` and `removed`; None for a new name.
        departed: the removed resources.
        emptied: load assignments that had endpoints and have none now, in their old version.
        arrived: the keys of all other new and changed resources.
        unsent: resources that differ only in their origins, which clients do not see.
    """

    __slots__ = (
        "__weakref__",
        "arrived",
        "changed",
        "content",
        "departed",
        "emptied",
        "removed",
        "replaced",
        "unsent",
    )

    def __init__(
        self, content: ResponseContent, old: Mapping[str, Resource], unsent: tuple[Resource, ...] = ()
    ) -> None:
        self.content = content
        self.unsent = unsent
        self.changed = {resource.name: resource for resource in content.resources}
        self.removed = frozenset(content.removed)
        self.replaced = {name: old.get(name) for name in (*self.changed, *content.removed)}
        self.departed = tuple([old[name] for name in content.removed])
        self.emptied = tuple(
            [
                was
                for resource in content.resources
                if resource.empty and (was := self.replaced[resource.name]) is not None and not was.empty
            ]
        )
        emptied = {was.name for was in self.emptied}
        self.arrived = tuple([(content.type_url, name) for name in self.changed if name not in emptied])

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


class Collection(Mapping[str, Resource]):
    """All resources of one type, by name; immutable."""

    __slots__ = (
        "__weakref__",
        "_aliases",
        "_differences",
        "_everything",
        "_latest",
        "_sum",
        "_variants",
        "_versions",
        "_with_ttl",
        "resources",
        "type_url",
    )

    def __init__(
        self,
        type_url: str,
        resources: Mapping[str, Resource],
        *,
        total: int | None = None,
    ) -> None:
        self.type_url = type_url
        self.resources = resources if isinstance(resources, LayeredDict) else LayeredDict(resources)
        # A sum does not depend on the order of its terms, and one term can be replaced without a new sum
        # of all.
        self._sum = sum(r.mark for r in resources.values()) % _MODULUS if total is None else total
        self._differences: WeakKeyDictionary[Collection, Difference] | None = None
        self._latest: tuple[ReferenceType[Collection], ReferenceType[Difference]] | None = None
        self._variants: dict[object, Collection] = {}
        self._everything: ResponseContent | None = None
        self._aliases: dict[str, Resource] | None = None
        self._versions: dict[str, str] | None = None
        self._with_ttl: tuple[Resource, ...] | None = None

    @property
    def version(self) -> str:
        """A hash of the names and versions of all members."""
        return f"{self._sum:024x}"

    def __getitem__(self, name: str) -> Resource:
        return self.resources[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.resources)

    def __len__(self) -> int:
        return len(self.resources)

    def __contains__(self, name: object) -> bool:
        return name in self.resources

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def find(self, name: str) -> Resource | None:
        """The resource with this name or alias ("Subscribing to Resources")."""
        found = self.resources.get(name)
        if found is None:
            if self._aliases is None:
                self._aliases = {alias: r for r in self.resources.values() for alias in r.aliases}
            found = self._aliases.get(name)
        return found

    def mismatched(self, claimed: Mapping[str, str], names: set[str], *, everything: bool) -> set[str]:
        """Names whose claimed version differs from ours, or that have no claim or no resource. The names are
        `names`, with `everything` also all members and all claimed names. `claimed` is what a client says
        that it has: versions by name.
        """
        if self._versions is None:
            self._versions = {name: resource.version for name, resource in self.resources.items()}
        if claimed == self._versions and names <= claimed.keys():
            return set()  # the usual case when all clients come back at once: no need to look at each name
        wanted = names | claimed.keys() | self.resources.keys() if everything else names
        found = ((name, self.find(name)) for name in wanted)
        return {
            name
            for name, here in found
            if here is None or claimed.get(here.name, claimed.get(name)) != here.version
        }

    @property
    def with_ttl(self) -> tuple[Resource, ...]:
        """The members that have a TTL."""
        if self._with_ttl is None:
            self._with_ttl = tuple(r for r in self.resources.values() if r.ttl is not None)
        return self._with_ttl

    @property
    def everything(self) -> ResponseContent:
        """All members: the state-of-the-world answer to the wildcard, encoded once for all clients."""
        if self._everything is None:
            self._everything = ResponseContent(self.type_url, self.version, tuple(self.resources.values()))
        return self._everything

    def updated(self, changed: Iterable[Resource], removed: Iterable[str]) -> "Collection":
        """This collection with some members added or replaced, and some names removed."""
        resources = self.resources.edit()
        total = self._sum
        for name in removed:
            old = resources.get(name)
            if old is not None:
                resources.discard(name)
                total -= old.mark
        for resource in changed:
            old = resources.get(resource.name)
            resources.put(resource.name, resource)
            total += resource.mark - (old.mark if old is not None else 0)
        return Collection(self.type_url, resources.finish(), total=total % _MODULUS)

    def overlaid(self, resources: Iterable[Resource], hidden: Iterable[str] = ()) -> "Collection":
        """This collection with some members added or replaced and some names hidden. The result refers to
        this collection instead of copying it: for many collections with mostly the same members.
        """
        over = {resource.name: resource for resource in resources}
        total, below = self._sum, self.resources
        for name, each in over.items():
            covered = below.get(name)
            total += each.mark if covered is None else each.mark - covered.mark
        gone = [name for name in hidden if name not in over and name in below]
        for name in gone:
            total -= below[name].mark
        members = LayeredDict.over(below, over, gone)
        return Collection(self.type_url, members, total=total % _MODULUS)

    def rebased(self, before: "Collection", below: "Collection") -> "Collection":
        """What `below.overlaid` returns for arguments for which `before.overlaid` returned this collection.
        No member that they name may differ between `before` and `below`.
        """
        members = self.resources.rebased(below.resources)
        return Collection(self.type_url, members, total=(self._sum - before._sum + below._sum) % _MODULUS)

    def retaining(self, resources: Iterable[Resource]) -> "Collection":
        """This collection with some members of an earlier one; equal arguments give the same object."""
        wanted = frozenset(resources)
        if not wanted:
            return self
        found = self._variants.get(wanted)
        if found is None:
            found = self.updated(wanted, ())
            self._keep(wanted, found)
        return found

    def without(self, names: frozenset[str], good: Callable[[str], Resource | None]) -> "Collection":
        """This collection with the version that `good` returns for each of these names, or without the name
        if that is None; equal arguments give the same object.
        """
        members = [name for name in names if name in self.resources]
        old = {name: each for name in members if (each := good(name)) is not None}
        key = (names, frozenset(old.values()))
        found = self._variants.get(key)
        if found is None:
            found = self.updated(old.values(), [name for name in members if name not in old])
            self._keep(key, found)
        return found

    def _keep(self, key: object, variant: "Collection") -> None:
        if len(self._variants) >= 8:  # the clients of a group rarely need more variants
            self._variants.pop(next(iter(self._variants)))
        self._variants[key] = variant

    def since(self, old: "Collection") -> Difference:
        """The difference from `old` to this collection."""
        latest = self._latest  # most clients need the same difference as the one before
        if latest is not None and latest[0]() is old and (found := latest[1]()) is not None:
            return found
        if self._differences is None:  # made late: many collections never need it
            self._differences = WeakKeyDictionary()
        found = self._differences.get(old)
        if found is None:
            found = self._compare(old)
            self._differences[old] = found
        self._latest = (ref(old), ref(found))  # weak: the encoded response goes with its last user
        return found

    def _compare(self, old: "Collection") -> Difference:
        mine, theirs = self.resources, old.resources
        changed = []
        removed = []
        unsent = []
        for name in mine.differing(theirs):
            new, was = mine.get(name), theirs.get(name)
            if new is None:
                if was is not None:
                    removed.append(name)
            elif was is None or was.version != new.version:
                changed.append(new)
            elif was is not new:
                unsent.append(new)
        content = ResponseContent(self.type_url, self.version, tuple(changed), tuple(removed))
        return Difference(content, theirs, tuple(unsent))


_EMPTY = {type_url: Collection(type_url, {}) for type_url in PUSH_ORDER}
"""The one empty collection of each type: between snapshots without the type nothing differs."""

_OTHER_EMPTY: WeakValueDictionary[str, Collection] = WeakValueDictionary()
"""The same for other types. Clients may ask for any type, so unused entries are dropped."""


def _empty(type_url: str) -> Collection:
    found = _EMPTY.get(type_url)
    if found is None:
        found = _OTHER_EMPTY.get(type_url)
    if found is None:
        found = _OTHER_EMPTY[type_url] = Collection(type_url, {})
    return found


class Snapshot:
    """All resources of one group of clients; immutable."""

    __slots__ = ("__weakref__", "_collections", "_next")

    def __init__(self, collections: Mapping[str, Collection] | None = None) -> None:
        self._collections = dict(collections or {})
        self._next: tuple[ReferenceType[Snapshot], SnapshotDifference] | None = None

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> "Snapshot":
        """A snapshot of these resources.

        Raises:
            ValueError: two resources have the same type and name.
            TypeError: a member is not a `Resource`.
        """
        by_type: dict[str, dict[str, Resource]] = {}
        for resource in resources:
            if not isinstance(resource, Resource):
                raise _not_a_resource(resource)
            members = by_type.setdefault(resource.type_url, {})
            if resource.name in members:
                raise ValueError(f"two resources of type {resource.type_url} have the name {resource.name!r}")
            members[resource.name] = resource
        return cls({type_url: Collection(type_url, members) for type_url, members in by_type.items()})

    def collection(self, type_url: str) -> Collection:
        """All resources of a type; the same empty collection each time for a type that has none."""
        found = self._collections.get(type_url)
        return found if found is not None else _empty(type_url)

    def get(self, type_url: str, name: str) -> Resource | None:
        """One resource, or None."""
        return self.collection(type_url).resources.get(name)

    def with_collection(self, collection: Collection) -> "Snapshot":
        """This snapshot with a different collection of one type."""
        return Snapshot({**self._collections, collection.type_url: collection})

    def since(self, old: "Snapshot", type_urls: Iterable[str]) -> SnapshotDifference:
        """The difference from `old` to this snapshot, with details for these types. All callers must pass the
        same `type_urls`.

        It is computed once for all clients that go from `old` to this snapshot: `old` remembers it, because a
        snapshot has one successor at a time, and is forgotten with its last client.
        """
        known = old._next
        if known is not None and known[0]() is self:
            return known[1]
        types = self._differing(old)
        departed: list[Resource] = []
        emptied: list[Resource] = []
        arrived: list[tuple[str, str]] = []
        for type_url in type_urls:
            if type_url in types:
                difference = self.collection(type_url).since(old.collection(type_url))
                departed += difference.departed
                emptied += difference.emptied
                arrived += difference.arrived
        found = SnapshotDifference(types, tuple(departed), tuple(emptied), tuple(arrived))
        old._next = (ref(self), found)
        return found

    def _differing(self, old: "Snapshot") -> frozenset[str]:
        """The types with different collections."""
        mine, theirs = self._collections, old._collections
        types = [
            type_url
            for type_url, collection in mine.items()
            if collection is not theirs.get(type_url) and collection is not old.collection(type_url)
        ]
        if gone := theirs.keys() - mine.keys():
            types += [each for each in gone if theirs[each] is not _empty(each)]
        return frozenset(types)

    def __iter__(self) -> Iterator[Resource]:
        for collection in self._collections.values():
            yield from collection.resources.values()

    def __len__(self) -> int:
        return sum(map(len, self._collections.values()))

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self)} resources>"

    def updated(
        self, changed: Iterable[Resource] = (), removed: Iterable[tuple[str, str]] = ()
    ) -> tuple["Snapshot", Change]:
        """This snapshot with some resources added or replaced and some (type URL, name) removed.

        Resources that it has in the same version, and names that it does not have, are ignored; the `Change`
        has the rest. A name that is both changed and removed stays, changed.

        Raises:
            TypeError: one of `changed` is not a `Resource`, or one of `removed` is not a pair.
            ValueError: one of `removed` does not begin with a type URL.
        """
        latest: dict[tuple[str, str], Resource] = {}
        for resource in changed:
            if not isinstance(resource, Resource):
                raise _not_a_resource(resource)
            latest[resource.type_url, resource.name] = resource
        differing = []
        for key, resource in latest.items():
            was = self.get(*key)
            if was is None or was.version != resource.version:
                differing.append(resource)
        keys = dict.fromkeys(map(_checked, removed))
        gone = tuple(key for key in keys if key not in latest and self.get(*key) is not None)
        change = Change(tuple(differing), gone)
        if not change:
            return self, change
        collections = dict(self._collections)
        for type_url in change.type_urls:
            collections[type_url] = self.collection(type_url).updated(
                [r for r in change.changed if r.type_url == type_url],
                [name for gone_type, name in gone if gone_type == type_url],
            )
        return Snapshot(collections), change


def _not_a_resource(found: object) -> TypeError:
    better = ": give Resource.of(message)" if hasattr(found, "SerializeToString") else ""
    return TypeError(f"a snapshot is made of Resources, not of {type(found).__name__}{better}")


def _checked(key: tuple[str, str]) -> tuple[str, str]:
    """The key, if it is valid: `updated` would silently ignore an invalid one."""
    if not isinstance(key, tuple) or len(key) != 2:
        raise TypeError(f"what is removed is told as (type URL, name), not as {key!r}")
    if "/" not in key[0]:
        raise ValueError(f"{key[0]!r} is not a type URL, such as type_urls.CLUSTER")
    return key
