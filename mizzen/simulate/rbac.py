"""RBAC filters, for HTTP and for connections.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rbac_filter
"""

from __future__ import annotations

from typing import Any, Final

from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2

from mizzen.simulate.condition import (
    AllOf,
    Demand,
    UndecidedError,
    UnknownSettingError,
    demand_words,
    met,
    shortfall,
)
from mizzen.simulate.rbac_match import any_of
from mizzen.simulate.request import Request
from mizzen.simulate.verdict import Decision, Failure, Met, PolicyStep, RunnerUp

_DENY: Final = rbac_pb2.RBAC.DENY
_ALLOW: Final = rbac_pb2.RBAC.ALLOW
_UNKNOWN_FIELDS: Final = ("condition", "checked_condition", "cel_config")
NO_POLICY: Final = "no policy"
"""The name shown when the call would be denied because none of the tried-out policies matches."""
NOTES: Final = {
    http_rbac_pb2.RBAC.DESCRIPTOR.full_name: "envoy.filters.http.rbac",
    network_rbac_pb2.RBAC.DESCRIPTOR.full_name: "envoy.filters.network.rbac",
}
"""The types of the filters, each with the name under which it notes the result of its shadow rules."""


class Rules:
    """The compiled rules of one action."""

    __slots__ = ("_policies", "action", "kind")

    def __init__(self, message: Any) -> None:
        self.action = int(message.action)
        self.kind = str(rbac_pb2.RBAC.Action.Name(message.action))
        # Envoy evaluates them in the order of their names.
        names = sorted(map(str, message.policies))
        self._policies = tuple((name, _policy(message.policies[name])) for name in names)

    def matching(self, request: Request) -> str:
        """Return the name of the first policy that matches; empty if none does. Raises UndecidedError."""
        for name, policy in self._policies:
            if policy.holds(request):
                return name
        return ""

    def denies(self, matching: str) -> bool:
        """Return True if the call is denied when this policy matches (empty: none)."""
        return bool(matching) if self.action == _DENY else self.action == _ALLOW and not matching

    def nearest(self, request: Request) -> RunnerUp | None:
        """Return the policy that lacks least, and its first condition that fails; None without policies."""
        found = [(shortfall(policy, request), name) for name, policy in self._policies]
        if not found:
            return None
        short, name = min(found, key=lambda each: (each[0].failed, -each[0].satisfied))
        if short.first is None:
            return None
        return RunnerUp(name, short.first.name, short.first.wanted, short.first.found(request))

    def met(self, name: str, request: Request) -> tuple[Met, ...]:
        """Return the conditions by which a policy matches."""
        policy = dict(self._policies)[name]
        return tuple(Met(each.name, each.wanted, each.found(request)) for each in met(policy, request))


def policy_words(message: Any) -> str:
    """Return what a Policy is about: `principal spiffe://..., method GET`."""
    try:
        demand = AllOf((any_of(message.principals), any_of(message.permissions)))
    except UnknownSettingError as error:
        return f"what is not known ({error})"
    return demand_words(demand) or "everything"


class RbacFilter:
    """A compiled RBAC filter. Raises UnknownSettingError for rules that the simulator does not know."""

    __slots__ = ("_note_prefix", "_notes", "_rules", "_shadow_rules", "name")

    def __init__(self, name: str, message: Any) -> None:
        if message.HasField("matcher") or message.HasField("shadow_matcher"):
            raise UnknownSettingError("matcher")
        self.name = name
        self._rules = Rules(message.rules) if message.HasField("rules") else None
        self._shadow_rules = Rules(message.shadow_rules) if message.HasField("shadow_rules") else None
        self._notes = NOTES[message.DESCRIPTOR.full_name]
        self._note_prefix = message.shadow_rules_stat_prefix

    def judge(self, request: Request, *, explain: bool) -> PolicyStep | None:
        """Return what the filter decides about a request; None if it only notes results for other filters."""
        rules = self._rules
        try:
            tried = self._try(request)
            if rules is None:
                return PolicyStep(self.name, "SHADOW", Decision.ALLOWED, tried=tried) if tried else None
            matching = rules.matching(request)
        except UndecidedError:
            return PolicyStep(self.name, "RBAC", Decision.UNKNOWN)
        if not rules.denies(matching):
            return PolicyStep(self.name, rules.kind, Decision.ALLOWED, matching, tried=tried)
        failure = Failure.POLICY_DENIES if matching else Failure.NO_POLICY_ALLOWS
        found = rules.met(matching, request) if explain and matching else ()
        lost = rules.nearest(request) if explain and not matching else None
        return PolicyStep(self.name, rules.kind, Decision.DENIED, matching, failure, tried, found, lost)

    def _try(self, request: Request) -> str:
        """Note the result of the shadow rules; return the policy that would deny the
        request if they were in force."""
        rules = self._shadow_rules
        if rules is None:
            return ""
        matching = rules.matching(request)
        denied = rules.denies(matching)
        noted = {f"{self._note_prefix}shadow_engine_result": "denied" if denied else "allowed"}
        if matching:
            noted[f"{self._note_prefix}shadow_effective_policy_id"] = matching
        request.note(self._notes, noted)
        return matching or NO_POLICY if denied else ""


def _policy(message: Any) -> Demand:
    unknown = next((name for name in _UNKNOWN_FIELDS if message.HasField(name)), None)
    if unknown is not None:
        raise UnknownSettingError(unknown)
    return AllOf((any_of(message.permissions), any_of(message.principals)))
