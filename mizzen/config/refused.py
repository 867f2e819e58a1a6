"""What is not in force because of mistakes: documents, and the hosts that they declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from mizzen.config.diagnostics import Diagnostic
from mizzen.config.document import ConfigKey
from mizzen.config.group_kinds import DESTINATION_RULE, GATEWAY, SERVICE, SERVICE_ENTRY, SIDECAR

_SERVICE_LABELS: Final = 3

_SELECTING: Final = frozenset({SERVICE, SERVICE_ENTRY, SIDECAR, GATEWAY})
"""The kinds that a WorkloadEntry is there for, because they select it."""


class NotInForce(Protocol):
    """A document that is not in force, and the hosts that a ServiceEntry or DestinationRule names."""

    @property
    def key(self) -> ConfigKey:
        """The key of the document."""

    @property
    def hosts(self) -> frozenset[str]:
        """Its hosts, as `hosts_written` returns them."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The keys of refused documents, and the hosts of refused ServiceEntries. For a refused DestinationRule
    the keys have also that of any rule for its host, and for a kind that selects workloads that of anything
    that selects those of its namespace."""

    keys: frozenset[ConfigKey] = frozenset()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, documents: Iterable[NotInForce]) -> Refused:
        """Return what is not in force because these documents are not."""
        found = tuple(documents)
        rules = [each for each in found if each.key.group_kind == DESTINATION_RULE]
        declared = {host for each in found if each not in rules for host in each.hosts}
        shaped = {any_rule_for(host) for each in rules for host in each.hosts}
        selecting = {
            anything_selecting(each.key.namespace) for each in found if each.key.group_kind in _SELECTING
        }
        return cls(frozenset({each.key for each in found} | shaped | selecting), frozenset(declared))

    def with_documents(self, documents: Iterable[NotInForce]) -> Refused:
        """Return the same with further documents."""
        more = Refused.of(documents)
        return Refused(self.keys | more.keys, self.hosts | more.hosts)

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


NOTHING_REFUSED: Final = Refused()


def _overlap(one: str, other: str) -> bool:
    return one == other or _covers(one, other) or _covers(other, one)


def _covers(wildcard: str, host: str) -> bool:
    return wildcard.startswith("*") and host.endswith(wildcard[1:])


def any_rule_for(host: str) -> ConfigKey:
    """Return the key that stands for a DestinationRule for a host, whatever the rule's name is. Hosts of
    Kubernetes are compared without the domain."""
    labels = host.split(".")
    is_service = len(labels) >= _SERVICE_LABELS and labels[2] == "svc"
    return DESTINATION_RULE.key("", ".".join(labels[:_SERVICE_LABELS]) if is_service else host)


def anything_selecting(namespace: str) -> ConfigKey:
    """Return the key that stands for any document that selects workloads of a namespace."""
    return SERVICE.key(namespace, "")


def hosts_written(key: ConfigKey, content: Mapping[str, Any]) -> frozenset[str]:
    """Return the hosts of a ServiceEntry, or the host of a DestinationRule, that need not be valid; of other
    kinds none."""
    spec = content.get("spec")
    if not isinstance(spec, Mapping):
        return frozenset()
    if key.group_kind == DESTINATION_RULE:
        host = spec.get("host")
        is_short = isinstance(host, str) and "." not in host
        written = [f"{host}.{key.namespace}.svc" if is_short else host]
    else:
        hosts = spec.get("hosts") if key.group_kind == SERVICE_ENTRY else None
        written = hosts if isinstance(hosts, list) else []
    return frozenset(host.lower().rstrip(".") for host in written if isinstance(host, str) and host)
