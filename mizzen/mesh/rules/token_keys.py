"""Rules for tokens whose keys are not known: no token of their issuer is valid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config
from mizzen.config.models import JWTRule, RequestAuthentication

NO_KEYS: Final = "MZ0303"
"""No keys are known for an issuer, so that each of its tokens is refused."""


def rules_without_keys(policies: Iterable[Config[RequestAuthentication]]) -> Iterator[Diagnostic]:
    """Yield a warning (MZ0303) for each rule that does not hold its keys itself: keys are not fetched yet."""
    for policy in policies:
        for index, rule in enumerate(policy.spec.jwt_rules):
            if not rule.jwks:
                origin = policy.origin_of("spec", "jwtRules", index)
                yield Diagnostic(Severity.WARNING, NO_KEYS, _words(rule), origin, f"spec.jwtRules[{index}]")


def _words(rule: JWTRule) -> str:
    whose = f"of {rule.issuer}" if rule.issuer else "of this rule"
    return f"every token {whose} is refused, as keys are not fetched yet; write them under jwks"
