"""What is not in force because of mistakes: documents, and the hosts that they declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.document import ConfigKey
from mizzen.config.group_kinds import SERVICE, SERVICE_ENTRY

if TYPE_CHECKING:
    from mizzen.config.store import Refusal

_SERVICE_LABELS: Final = 3


@dataclass(frozen=True, slots=True)
class Refused:
    """The keys of refused documents, and the hosts of refused ServiceEntries."""

    keys: frozenset[ConfigKey] = frozenset()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, refusals: Iterable[Refusal]) -> Refused:
        """Return what these refusals keep out of force."""
        found = tuple(refusals)
        return cls(
            frozenset(each.key for each in found), frozenset(host for each in found for host in each.hosts)
        )

    def explains(self, diagnostic: Diagnostic) -> bool:
        """Return True if the diagnostic calls something absent that a refused document is or declares. It is
        not shown then, because the errors of that document say what to do."""
        missing = diagnostic.missing
        if isinstance(missing, ConfigKey):
            return missing in self.keys
        return missing is not None and self._declares(missing)

    def _declares(self, host: str) -> bool:
        labels = host.split(".")
        if len(labels) >= _SERVICE_LABELS and labels[2] == "svc":
            name, namespace = labels[:2]
            if SERVICE.key(namespace, name) in self.keys:
                return True
        return any(_overlap(host, each) for each in self.hosts)


def _overlap(one: str, other: str) -> bool:
    return one == other or _covers(one, other) or _covers(other, one)


def _covers(wildcard: str, host: str) -> bool:
    return wildcard.startswith("*") and host.endswith(wildcard[1:])


def hosts_written(key: ConfigKey, content: Mapping[str, Any]) -> frozenset[str]:
    """Return the hosts of a ServiceEntry that need not be valid; of other kinds none."""
    spec = content.get("spec")
    hosts = spec.get("hosts") if key.group_kind == SERVICE_ENTRY and isinstance(spec, Mapping) else None
    written = hosts if isinstance(hosts, list) else ()
    return frozenset(host.lower().rstrip(".") for host in written if isinstance(host, str) and host)
