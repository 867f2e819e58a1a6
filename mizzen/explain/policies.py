"""How security policies decide about a call, step by step, with the lines of the policies."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.config.models import AuthorizationAction
from mizzen.explain.answer import Lost, Step
from mizzen.explain.origins import PartOrigins, Places
from mizzen.simulate import RunnerUp, Verdict
from mizzen.simulate.verdict import Decision, Failure, Met, PolicyStep
from mizzen.translator.filters.authorization import RuleName
from mizzen.translator.filters.external_authorization import authorizer_named_in


def policy_steps(verdict: Verdict, origins: PartOrigins) -> Iterator[Step]:
    """Yield a step, `token` or `policy`, for each security filter that the call reaches."""
    for step in verdict.policies:
        if step.kind == "JWT":
            yield _token(step, origins)
        elif step.kind != "SHADOW":
            yield _policy(step, origins)
        if step.tried and not authorizer_named_in(step.tried):
            yield _tried(step, origins)


def rule_words(name: str) -> str:
    """Return the short name of an AuthorizationPolicy's rule: `viewers.shop, rules[0]`."""
    rule = RuleName.parse(name)
    return f"{rule.policy}.{rule.namespace}, rules[{rule.index}]" if rule is not None else name


def _policy(step: PolicyStep, origins: PartOrigins) -> Step:
    authorizer = authorizer_named_in(step.policy)
    if step.decision is Decision.UNKNOWN:
        said = (
            f"the authorizer {authorizer} decides, which is not asked here" if authorizer else "not simulated"
        )
        return Step("policy", rule_words(step.policy) or step.filter, (said,), _places(step.policy, origins))
    if step.failure is Failure.NO_POLICY_ALLOWS:
        allowing = _texts(origins.authorization_policies(AuthorizationAction.ALLOW))
        return Step("policy", "none allows the call", (), allowing, _lost(step.lost, origins))
    if not step.policy:
        return Step("policy", f"none {_VERBS[step.kind]} the call")
    details = [f"{_VERBS[step.kind]} the call", *map(_met, step.met)]
    if authorizer:
        details.append(f"its authorizer {authorizer} cannot be asked")
    return Step("policy", rule_words(step.policy), tuple(details), _places(step.policy, origins))


_VERBS = {"ALLOW": "allows", "DENY": "denies", "LOG": "audits"}


def _tried(step: PolicyStep, origins: PartOrigins) -> Step:
    details = ("would deny the call, but is only tried out (dry run)",)
    return Step("policy", rule_words(step.tried), details, _places(step.tried, origins))


def _token(step: PolicyStep, origins: PartOrigins) -> Step:
    if not step.policy and step.decision is Decision.ALLOWED:
        return Step("token", "none, and none is required")
    issuer, places = origins.token_rule(step.policy)
    name = f"of {issuer}" if issuer else "of any issuer" if step.policy else "none"
    said = {
        Decision.ALLOWED: "it is valid",
        Decision.DENIED: step.failure.value if step.failure is not None else "it is refused",
        Decision.UNKNOWN: "whether it is valid is not known, as the issuer's keys are not",
    }[step.decision]
    lost = step.lost
    if lost is None:
        return Step("token", name, (said,), _texts(places))
    missed = Lost(name, lost.condition, lost.wanted, lost.found, _texts(places))
    return Step("token", name, (said,), _texts(places), missed)


def _lost(lost: RunnerUp | None, origins: PartOrigins) -> Lost | None:
    if lost is None:
        return None
    places = _places(lost.name, origins)
    return Lost(rule_words(lost.name), lost.condition, lost.wanted, lost.found, places)


def _met(met: Met) -> str:
    return f"as {met.condition} is {met.found}" + (f" ({met.wanted})" if met.wanted != met.found else "")


def _places(name: str, origins: PartOrigins) -> tuple[str, ...]:
    rule = RuleName.parse(name)
    return _texts(origins.policy_rule(rule)) if rule is not None else ()


def _texts(places: Places) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, places)))
