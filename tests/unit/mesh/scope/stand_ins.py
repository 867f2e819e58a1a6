"""What stands in for VirtualServices and for an egress listener: lists, looked through each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mizzen.mesh.hosts import is_subset_of, specificity
from mizzen.mesh.scope.domains import NamesKnownAs
from mizzen.mesh.scope.virtual_hosts import (
    ANY_PORT,
    DEFAULT_HTTP_PORT,
    NO_VIRTUAL_HOSTS,
    VirtualHost,
    VirtualHosts,
    VirtualHostsChange,
)
from mizzen.mesh.service import Service


@dataclass(frozen=True, eq=False)
class Rule:
    """All that virtual hosts ask of a VirtualService."""

    hosts: tuple[str, ...]


class Seen:
    """What proxies see: services, oldest first, and rules in their order, each with whether it has routes."""

    def __init__(self, services: Sequence[Service], rules: Sequence[tuple[Rule, bool]]) -> None:
        self.services = sorted(services, key=lambda each: each.precedence)
        self.rules = [rule for rule, _ in rules]
        self.contributing = {rule for rule, contributes in rules if contributes}

    def services_called(self, port: int) -> list[Service]:
        return [each for each in self.services if port == ANY_PORT or each.is_called_on(port)]

    def service_called(self, hostname: str, port: int) -> Service | None:
        found = [each for each in self.services_called(port) if each.hostname == hostname]
        return found[0] if found else None

    def rules_named(self, host: str) -> list[Rule]:
        return [rule for rule in self.rules if host in rule.hosts]

    def rules_matching(self, host: str) -> Iterator[Rule]:
        for rule in self.rules:
            if any(is_subset_of(host, each) or is_subset_of(each, host) for each in rule.hosts):
                yield rule

    def virtual_service_of(self, hostname: str) -> Rule | None:
        covering = [
            (specificity(host), self.precedence(rule))
            for rule in self.rules
            for host in rule.hosts
            if is_subset_of(hostname, host)
        ]
        return self.rules[min(covering)[1]] if covering else None

    def precedence(self, rule: Rule) -> int:
        return self.rules.index(rule)


def changed(
    before: VirtualHosts, port: int, names: NamesKnownAs, seen: Any, services: Any, rules: Any
) -> VirtualHosts:
    """Return the virtual hosts after these services (by hostname) and rules changed to what is `seen`."""
    change = VirtualHostsChange(before, port, names, seen, seen.contributing.__contains__)
    return change.made(services, rules)


def from_nothing(port: int, names: NamesKnownAs, seen: Seen) -> VirtualHosts:
    """Return the virtual hosts of a port when all that is seen comes."""
    services = [each.hostname for each in seen.services_called(port)]
    rules = seen.rules if port == DEFAULT_HTTP_PORT else ()
    return changed(NO_VIRTUAL_HOSTS, port, names, seen, services, rules)


def served(hosts: VirtualHosts) -> dict[str, VirtualHost]:
    """Return the virtual hosts that are served, by name, in order."""
    found = {each.name: each for host in hosts.by_host for each in hosts.served(host)}
    return dict(sorted(found.items()))
