"""ExternalName Services: the host that each finally resolves to, and the aliases of each host.

Source: Istio's resolveServiceAliases. An alias of an alias resolves to the target of the second. The members
of a cycle keep the name that their document gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class Aliases:
    """All aliases of the mesh, by hostname.

    `given` has the namespace of each and the host that its document names; `targets` the host that it finally
    resolves to; `of` the aliases of a host, sorted by namespace and name.
    """

    given: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def resolve(cls, given: Mapping[str, tuple[str, str]]) -> Aliases:
        """Resolve every alias to its final target."""
        targets: dict[str, str] = {}
        for alias, (_, host) in given.items():
            seen = {alias}
            target = host
            while target in given and target not in seen:
                seen.add(target)
                target = given[target][1]
            targets[alias] = host if target in seen else target
        of: dict[str, list[str]] = {}
        for alias in sorted(given, key=lambda one: (given[one][0], one)):
            if targets[alias] not in given:
                of.setdefault(targets[alias], []).append(alias)
        return cls(dict(given), targets, {host: tuple(aliases) for host, aliases in of.items()})

    def differing(self, other: Aliases) -> set[str]:
        """Return the hosts and aliases that differ between the two."""
        return _differing(self.targets, other.targets) | _differing(self.of, other.of)


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> set[str]:
    return {host for host in one.keys() | other.keys() if one.get(host) != other.get(host)}
