"""Listeners that are equal for several classes of proxies with labels, built once for all of them."""

from __future__ import annotations

from typing import Final

from mizzen.mesh.changes.scope_difference import ScopeDifference
from mizzen.mesh.facts import Fact
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.translator.shared.label_rules import LabelRules, labels_apart
from mizzen.translator.shared.outbound_builder import BuiltListeners, OutboundBuilder

_MOST: Final = 4
"""Largest number of different results for a port that are remembered for comparison."""


class AlikeListeners:
    """The listeners of each port that were built for classes of proxies in one snapshot of the mesh.

    A class reuses the listeners of another one if they read no fact that differs between the two.
    """

    def __init__(self, rules: LabelRules) -> None:
        self._rules = rules
        self._built: dict[int, list[tuple[OutboundProfile, BuiltListeners]]] = {}
        self._apart: dict[tuple[OutboundProfile, OutboundProfile], frozenset[Fact]] = {}

    def build(self, number: int, builder: OutboundBuilder) -> BuiltListeners:
        """Return the listeners of a port."""
        known = self._built.setdefault(number, [])
        for profile, built in known:
            if self._facts_apart(profile, builder).isdisjoint(built.read):
                return built
        built = builder.listeners().build(number)
        if len(known) < _MOST:
            known.append((builder.profile, built))
        return built

    def _facts_apart(self, other: OutboundProfile, builder: OutboundBuilder) -> frozenset[Fact]:
        key = (other, builder.profile)
        found = self._apart.get(key)
        if found is None:
            mesh, labels = builder.mesh, labels_apart(*key)
            telling = self._rules.telling(other.namespace, labels)
            rules, hosts = telling.virtual_services, telling.destination_hosts
            difference = ScopeDifference.apart(mesh.scope(other), builder.scope, rules, hosts, mesh)
            found = self._apart[key] = difference.facts
        return found
