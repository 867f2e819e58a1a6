"""Hosts as rules name them, exact or with a leading `*`: their order, and indexes over many of them.

The rules are those of Istio's pkg/config/host. A wildcard is a name whose first character is `*`, which
stands for any text. So `*foo.com` is as valid as `*.foo.com`; the first covers `foo.com`, the second does
not.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from mizzen.config.models.host import is_subset_of as is_subset_of
from mizzen.config.models.host import is_wildcard as is_wildcard
from mizzen.config.models.host import matches as matches
from mizzen.persistent import LayeredDict

Value = TypeVar("Value", covariant=True)


def specificity(host: str) -> tuple[bool, int, str]:
    """Return a sort key that puts the more specific host first: exact, then longer, then alphabetical."""
    return (is_wildcard(host), -len(host), host)


def resolve_short_name(host: str, namespace: str, domain: str = "cluster.local") -> str:
    """Return the full name of `host` as a rule in `namespace` means it.

    A name without a dot gets `.namespace.svc.domain`, or `.namespace` if `domain` is empty. Names with a dot,
    wildcards and IP addresses stay unchanged (Istio's model.ResolveShortnameToFQDN).
    """
    if not host or "." in host or host.startswith("*") or (":" in host and _is_ip(host)):
        return host
    return f"{host}.{namespace}.svc.{domain}" if domain else f"{host}.{namespace}"


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class HostIndex(Generic[Value]):
    """Values by host, exact and wildcard, immutable. No lookup iterates over all hosts.

    A lookup by wildcard tries each distinct length of the wildcards in the index (a handful, 254 at most).
    """

    __slots__ = ("_exact", "_lengths", "_reversed", "_wildcard")

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        found = values or {}
        wildcard = {host: value for host, value in found.items() if is_wildcard(host)}
        exact = {host: value for host, value in found.items() if host not in wildcard} if wildcard else found
        self._exact: LayeredDict[str, Value] = LayeredDict(exact)
        self._wildcard: LayeredDict[str, Value] = LayeredDict(wildcard)
        self._lengths = _lengths(wildcard)
        # The hosts reversed and sorted, so that hosts with one suffix are adjacent; made when first needed.
        self._reversed: list[str] | None = None

    @staticmethod
    def patched(
        indexes: dict[str, HostIndex[Value]], changes: Mapping[str, Mapping[str, Value | None]]
    ) -> dict[str, HostIndex[Value]]:
        """Return several indexes (for example one for each namespace) after `changes` to some of them. An
        index that becomes empty is removed; without changes the same mapping is returned."""
        if not changes:
            return indexes
        result = dict(indexes)
        for name, hosts in changes.items():
            index = result.pop(name, None) or HostIndex()
            index = index.updated(hosts)
            if len(index):
                result[name] = index
        return result

    def updated(self, changes: Mapping[str, Value | None]) -> HostIndex[Value]:
        """Return an index with the values of `changes`; None removes a host."""
        if not changes:
            return self
        new: HostIndex[Value] = HostIndex()
        exact, wildcard = self._exact.edit(), self._wildcard.edit()
        if self._reversed is not None and len(changes) < 100:
            new._reversed = list(self._reversed)
        for host, value in changes.items():
            values = wildcard if is_wildcard(host) else exact
            if new._reversed is not None and (host in values) != (value is not None):
                _toggle(new._reversed, host[::-1])
            if value is None:
                values.discard(host)
            else:
                values.put(host, value)
        new._exact, new._wildcard = exact.finish(), wildcard.finish()
        same = new._wildcard is self._wildcard
        new._lengths = self._lengths if same else _lengths(new._wildcard)
        return new

    @property
    def exact(self) -> LayeredDict[str, Value]:
        """The values of the exact hosts."""
        return self._exact

    @property
    def wildcards(self) -> LayeredDict[str, Value]:
        """The values of the wildcards."""
        return self._wildcard

    def differing(self, other: HostIndex[Value]) -> list[str]:
        """Return the hosts for which the two indexes have different objects."""
        return [*self._exact.differing(other._exact), *self._wildcard.differing(other._wildcard)]

    def __len__(self) -> int:
        return len(self._exact) + len(self._wildcard)

    def __contains__(self, host: str) -> bool:
        return host in self._exact or host in self._wildcard

    def __iter__(self) -> Iterator[str]:
        yield from self._exact
        yield from self._wildcard

    def get(self, host: str) -> Value | None:
        """Return the value of exactly this host, or None; `*.a.com` finds only the wildcard itself."""
        return self._wildcard.get(host) if is_wildcard(host) else self._exact.get(host)

    def covering(self, host: str) -> Iterator[tuple[str, Value]]:
        """Yield the hosts of the index that cover all of `host`, with their values, most specific first."""
        if not is_wildcard(host):
            if host in self._exact:
                yield host, self._exact[host]
            tail = host
        else:
            tail = host[1:]
        for length in self._lengths:
            start = len(tail) - (length - 1)
            if start < 0:
                continue
            candidate = "*" + tail[start:]
            if candidate in self._wildcard:
                yield candidate, self._wildcard[candidate]

    def most_specific(self, host: str) -> tuple[str, Value] | None:
        """Return the most specific host that covers all of `host`, with its value (Istio's
        MostSpecificHostMatch), or None."""
        return next(self.covering(host), None)

    def under(self, host: str) -> Iterator[tuple[str, Value]]:
        """Yield the hosts of the index that `host` covers wholly, with their values, in any order."""
        if not is_wildcard(host):
            if host in self._exact:
                yield host, self._exact[host]
            return
        if host == "*":
            yield from self._exact.items()
            yield from self._wildcard.items()
            return
        if self._reversed is None:
            self._reversed = sorted(name[::-1] for name in self)
        ending = host[:0:-1]
        for position in range(bisect_left(self._reversed, ending), len(self._reversed)):
            backwards = self._reversed[position]
            if not backwards.startswith(ending):
                return
            name = backwards[::-1]
            if is_wildcard(name):
                yield name, self._wildcard[name]
            else:
                yield name, self._exact[name]

    def matching(self, host: str) -> Iterator[tuple[str, Value]]:
        """Yield the hosts of the index that `matches` pairs with `host`, once each, in any order."""
        for name, value in self.covering(host):
            if name != host:
                yield name, value
        yield from self.under(host)


def _lengths(wildcards: Iterable[str]) -> tuple[int, ...]:
    """Return the distinct lengths, longest first."""
    return tuple(sorted({len(host) for host in wildcards}, reverse=True))


def _toggle(names: list[str], name: str) -> None:
    """Remove `name` from a sorted list, or insert it if the list does not have it."""
    at = bisect_left(names, name)
    if at < len(names) and names[at] == name:
        del names[at]
    else:
        names.insert(at, name)
