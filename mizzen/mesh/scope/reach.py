"""What a Sidecar lets proxies see, and an index that finds the proxies for which a change may matter.

The answers are about names alone: what may be seen under a name, whether it exists or not. So they hold until
the Sidecar changes, and of a thousand namespaces a change costs those that can see it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from mizzen.mesh.hosts import matches
from mizzen.mesh.scope.egress_imports import ANY, EgressHosts
from mizzen.mesh.scope.sidecars import SidecarConfig
from mizzen.mesh.visibility import PUBLIC

Key = TypeVar("Key", bound=Hashable)

_EVERYTHING: Final = ((ANY, ANY),)


@dataclass(frozen=True, slots=True)
class Named:
    """Something of a `namespace` that bears `hosts` and is exported to `seen_by` (see `visible_to`)."""

    namespace: str
    hosts: tuple[str, ...]
    seen_by: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reach:
    """What the sidecars of a namespace with one Sidecar import: pairs (namespace or `*`, host)."""

    namespace: str
    imported: tuple[tuple[str, str], ...] = _EVERYTHING

    @classmethod
    def of(cls, namespace: str, sidecar: SidecarConfig | None) -> Reach:
        """Return the reach of the sidecars of `namespace` with this Sidecar (None: they have none)."""
        if sidecar is None or not sidecar.spec.egress:
            return cls(namespace)
        policy = sidecar.spec.outbound_traffic_policy
        if policy is not None and policy.egress_proxy is not None:
            return cls(namespace)  # the egress proxy may be any service that is visible
        parsed = [EgressHosts.parse(listener.hosts, namespace) for listener in sidecar.spec.egress]
        return cls(namespace, tuple(dict.fromkeys(pair for hosts in parsed for pair in hosts.imported)))

    def imports(self, named: Named) -> bool:
        """Return True if an entry imports one of the hosts, or overlaps with it. What other entries exclude
        counts as well."""
        for place, wide in self.imported:
            if place in (ANY, named.namespace):
                for host in named.hosts:
                    if matches(wide, host):
                        return True
        return False


class Reaches(Generic[Key]):
    """Keys with the reach of each, found by what they import."""

    def __init__(self) -> None:
        self._of: dict[Key, Reach] = {}
        self._in: dict[str, dict[Key, Reach]] = {}
        # By the namespace that is imported (or `*`), then by the namespace of those that import it.
        self._importing: dict[str, dict[str, dict[Key, Reach]]] = {}

    def put(self, key: Key, reach: Reach) -> None:
        """Set the reach of a key."""
        if self._of.get(key) == reach:
            return
        self.discard(key)
        self._of[key] = reach
        self._in.setdefault(reach.namespace, {})[key] = reach
        for place, _ in reach.imported:
            self._importing.setdefault(place, {}).setdefault(reach.namespace, {})[key] = reach

    def discard(self, key: Key) -> None:
        """Take a key out, if it is there."""
        reach = self._of.pop(key, None)
        if reach is None:
            return
        _take(self._in, reach.namespace, key)
        for place in {place for place, _ in reach.imported}:
            by_namespace = self._importing[place]
            _take(by_namespace, reach.namespace, key)
            if not by_namespace:
                del self._importing[place]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._of)

    def in_namespace(self, namespace: str) -> Iterator[Key]:
        """Yield the keys whose proxies are in a namespace."""
        return iter(self._in.get(namespace, ()))

    def seeing(self, named: Named) -> Iterator[Key]:
        """Yield the keys that see and import something; keys may come twice."""
        for place in (named.namespace, ANY):
            by_namespace = self._importing.get(place)
            if by_namespace is None:
                continue
            if PUBLIC in named.seen_by:
                groups = list(by_namespace.values())
            else:
                groups = [by_namespace[each] for each in named.seen_by if each in by_namespace]
            for group in groups:
                for key, reach in group.items():
                    if reach.imports(named):
                        yield key


def _take(groups: dict[str, dict[Key, Reach]], name: str, key: Key) -> None:
    group = groups[name]
    del group[key]
    if not group:
        del groups[name]
