"""The plan: what changes, for which proxies, and which changes break something."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from mizzen.plan.change import Change
from mizzen.plan.consequences import Consequences
from mizzen.plan.fleet import Pair
from mizzen.plan.resource_changes import resource_changes
from mizzen.plan.side import Side
from mizzen.translator.on_demand import Difference
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource

_TYPES: Final = type_urls.PUSH_ORDER
_ORDER: Final = (
    "destination",
    "policies",
    "policy",
    "tokens",
    "mutual TLS",
    "host",
    "routes",
    "virtual host",
    "route",
    "listener",
    "filter chain",
    "cluster",
    "endpoints",
    "secret",
)

_Versions = tuple[str, str, str, str]
"""Type and name of a resource, and its versions before and after; empty where there is no resource."""

_Kind = tuple[tuple[_Versions, ...], Hashable]
"""What distinguishes proxies: the resources that differ, and the `kind` of their pairs."""


@dataclass(frozen=True, slots=True)
class Told:
    """A change with its lines on both sides."""

    change: Change
    before: tuple[str, ...]
    after: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        change = self.change
        return {
            "sign": change.sign.value,
            "kind": change.kind,
            "name": change.name,
            "what": change.what,
            "details": list(change.details),
            "breaks": change.danger.value,
            "before": list(self.before),
            "after": list(self.after),
        }


@dataclass(frozen=True, slots=True)
class Group:
    """The same changes for several proxies, named `sidecar a.default` or `gateway b.default`."""

    proxies: tuple[str, ...]
    changes: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What changes.

    Attributes:
        proxies: number of proxies compared.
        groups: the changes, grouped by proxies; groups with the most proxies first.
        arrived: proxies that only the new files declare.
        departed: proxies that only the old files declare.
        refused: sentences, with lines: where clients now speak what workloads refuse.
    """

    proxies: int
    groups: tuple[Group, ...]
    arrived: tuple[str, ...] = ()
    departed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def changed(self) -> int:
        """Number of proxies whose resources change."""
        return len({proxy for group in self.groups for proxy in group.proxies})

    @property
    def changes(self) -> tuple[Told, ...]:
        """All changes, each once for each group of proxies."""
        return tuple(told for group in self.groups for told in group.changes)

    @property
    def breaks(self) -> int:
        """Number of changes that break something; that no proxy is left counts as one."""
        broken = sum(told.change.breaks for told in self.changes)
        return broken + len(self.refused) + self.leaves_no_proxy

    @property
    def leaves_no_proxy(self) -> bool:
        """True if the old files declare proxies and the new ones none: more likely a mistake than meant."""
        return bool(self.departed) and not self.proxies and not self.arrived

    @property
    def made_gateways(self) -> tuple[str, ...]:
        """The workloads that only in the new files a Gateway selects, so that their sidecars count as
        gateways."""
        names = (each.partition(" ") for each in self.departed)
        return tuple(
            name for kind, _, name in names if kind == "sidecar" and f"gateway {name}" in self.arrived
        )

    @property
    def is_empty(self) -> bool:
        """True if every proxy gets the same bytes as before."""
        return not self.groups

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        groups = [
            {"proxies": list(group.proxies), "changes": [told.as_dict() for told in group.changes]}
            for group in self.groups
        ]
        return {
            "proxies": self.proxies,
            "changed": self.changed,
            "breaks": self.breaks,
            "refused": list(self.refused),
            "groups": groups,
            "arrived": list(self.arrived),
            "departed": list(self.departed),
            "made_gateways": list(self.made_gateways),
        }


def plan(pairs: Iterable[Pair], refused: Iterable[str] = ()) -> Plan:
    """Return what changes for these proxies. `refused` is the result of `new_refusals`.

    Resources are compared by their versions; each pair of versions is decoded once, for all proxies.
    """
    compared = 0
    arrived: list[str] = []
    departed: list[str] = []
    kinds: dict[_Kind, list[Pair]] = {}
    for pair in pairs:
        if pair.old is None or pair.new is None:
            (arrived if pair.old is None else departed).append(pair.name)
            continue
        compared += 1
        versions = tuple(sorted(map(_versions, pair.differing), key=_by_type))
        if versions:
            kinds.setdefault((versions, pair.kind), []).append(pair)
    return Plan(compared, _groups(kinds), tuple(arrived), tuple(departed), tuple(refused))


def _versions(difference: Difference) -> _Versions:
    was, now = difference
    resource = now or was
    assert resource is not None
    return resource.type_url, resource.name, _version(was), _version(now)


def _by_type(versions: _Versions) -> tuple[int, str]:
    return _TYPES.index(versions[0]), versions[1]


def _version(resource: Resource | None) -> str:
    return resource.version if resource is not None else ""


def _groups(kinds: dict[_Kind, list[Pair]]) -> tuple[Group, ...]:
    """Return the changes, grouped by proxies."""
    comparison = _Comparison()
    proxies_of: dict[Change, list[str]] = {}
    first: dict[Change, Told] = {}
    for (versions, _), pairs in kinds.items():
        old, new = pairs[0].old, pairs[0].new
        assert old is not None
        assert new is not None
        names = [pair.name for pair in pairs]
        for change, difference in comparison.changes(versions, old, new):
            if change not in first:
                first[change] = _told(change, difference, old, new)
            proxies_of.setdefault(change, []).extend(names)
    groups: dict[frozenset[str], list[Told]] = {}
    for change, names in proxies_of.items():
        groups.setdefault(frozenset(names), []).append(first[change])
    found = [Group(tuple(sorted(names)), tuple(sorted(told, key=_order))) for names, told in groups.items()]
    found.sort(key=lambda group: (-len(group.proxies), group.proxies))
    return tuple(found)


def _order(told: Told) -> tuple[int, str, str]:
    change = told.change
    known = change.kind in _ORDER
    return (_ORDER.index(change.kind) if known else len(_ORDER)), change.name, change.what


class _Comparison:
    """Compares classes of proxies. Compares each pair of resources once for all kinds."""

    def __init__(self) -> None:
        self._known: dict[_Versions, tuple[Change, ...]] = {}
        self._consequences = Consequences()

    def changes(
        self, versions: tuple[_Versions, ...], old: Side, new: Side
    ) -> Iterator[tuple[Change, Difference]]:
        """Yield the changes of one class of proxies, each with its resource."""
        differing = [(old.get(*each[:2]), new.get(*each[:2])) for each in versions]
        follow = tuple(self._consequences.of(differing, old, new))
        secrets = {change.name for change in follow if change.kind == "secret"}
        clusters = {
            name
            for type_url, name, was, now in versions
            if type_url == type_urls.CLUSTER and not (was and now)
        }
        for each, difference in zip(versions, differing, strict=True):
            type_url, name, was, now = each
            if type_url == type_urls.ENDPOINT and not (was and now) and name in clusters:
                continue  # endpoints that are added or removed with their cluster
            if type_url == type_urls.SECRET and name in secrets:
                continue
            if each not in self._known:
                self._known[each] = resource_changes(*difference)
            for change in self._known[each]:
                yield change, difference
        for change in follow:
            yield change, (None, None)


def _told(change: Change, difference: Difference, old: Side, new: Side) -> Told:
    was, now = difference
    before = old.places(change.place, was) if change.sign != "+" else ()
    after = new.places(change.place, now) if change.sign != "-" else ()
    return Told(change, before, after)
