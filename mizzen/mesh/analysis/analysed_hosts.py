"""Indexes by host for the checks. A changed host runs the checks again that read it or a covered host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from mizzen.config import models
from mizzen.config.document import Config, ConfigKey
from mizzen.incremental import Database, Lookup, Table
from mizzen.mesh.hosts import HostIndex, is_subset_of, is_wildcard
from mizzen.mesh.rules.destination_rules import DestinationRuleIndex
from mizzen.persistent import LayeredDict

Value = TypeVar("Value")

Found = tuple[tuple[str, Value], ...]


class AnalysedHosts(Generic[Value]):
    """The values of a `HostIndex`; reads are recorded."""

    def __init__(self, database: Database, name: str, index: HostIndex[Value]) -> None:
        self._index = index
        self.exact = Table(database, f"{name} at hosts", index.exact)
        """The values of the exact hosts."""
        self.wildcards = Table(database, f"{name} at wildcards", index.wildcards)
        """The values of the wildcards."""
        self._covering: Lookup[HostIndex[Value], str, Found[Value]] = Lookup(
            database, f"{name} covering a host", index, lambda of, host: tuple(of.covering(host))
        )
        # The result may be all hosts of the mesh. It is not computed here: a new object says that it may
        # differ.
        self._under: Lookup[HostIndex[Value], str, object] = Lookup(
            database, f"{name} under a wildcard", index, lambda of, wildcard: object()
        )

    def renew(self, index: HostIndex[Value]) -> None:
        """Switch to a different index."""
        if index is self._index:
            return
        changed = index.differing(self._index)
        self._index = index
        self.exact.renew(index.exact)
        self.wildcards.renew(index.wildcards)
        wildcards = [host for host in changed if is_wildcard(host)]
        covered = self._covering.keys_read if wildcards else ()
        self._covering.renew(
            index,
            [*changed, *(host for host in covered if any(is_subset_of(host, one) for one in wildcards))],
        )
        wide = list(self._under.keys_read)
        self._under.renew(
            index, [wildcard for wildcard in wide if any(is_subset_of(host, wildcard) for host in changed)]
        )

    def get(self, host: str) -> Value | None:
        """Return the value of exactly this host."""
        return (self.wildcards if is_wildcard(host) else self.exact).get(host)

    def covering(self, host: str) -> Found[Value]:
        """Return the hosts that cover a host, including itself, with their values."""
        return self._covering(host)

    def under(self, host: str) -> Iterator[tuple[str, Value]]:
        """Yield the hosts that a host covers, including itself, with their values."""
        if is_wildcard(host):
            self._under(host)
            yield from self._index.under(host)
        elif (value := self.get(host)) is not None:
            yield host, value

    def matching(self, host: str) -> Iterator[tuple[str, Value]]:
        """Yield the hosts that cover a host or are covered by it, once each, with their values."""
        for name, value in self.covering(host):
            if name != host:
                yield name, value
        yield from self.under(host)


Rules = LayeredDict[ConfigKey, Config[models.DestinationRule]]
"""The DestinationRules of one namespace for one host."""

RulesOfHost = tuple[tuple[str, Rules], ...]
"""The DestinationRules for one host by namespace, sorted."""


class RuleHosts:
    """The hosts of all DestinationRules."""

    def __init__(self, database: Database, rules: DestinationRuleIndex) -> None:
        self._by_host = LayeredDict[tuple[str, str], Rules]()
        self._index: HostIndex[RulesOfHost] = HostIndex()
        self._hosts = AnalysedHosts(database, "DestinationRules", self._index)
        self.renew(rules)

    def renew(self, rules: DestinationRuleIndex) -> None:
        """Switch to the rules of a different snapshot."""
        by_host = rules.by_host.buckets
        changes: dict[str, dict[str, Rules]] = {}
        for namespace, host in by_host.differing(self._by_host):
            of_host = changes.setdefault(host, dict(self._index.get(host) or ()))
            of_namespace = by_host.get((namespace, host))
            if of_namespace is None:
                of_host.pop(namespace, None)
            else:
                of_host[namespace] = of_namespace
        self._by_host = by_host
        self._index = self._index.updated(
            {
                host: tuple((namespace, of_host[namespace]) for namespace in sorted(of_host)) or None
                for host, of_host in changes.items()
            }
        )
        self._hosts.renew(self._index)

    def covering(self, host: str) -> Iterator[tuple[str, Rules]]:
        """Yield the rules whose host covers `host`, each with their namespace."""
        for _, of_host in self._hosts.covering(host):
            yield from of_host
