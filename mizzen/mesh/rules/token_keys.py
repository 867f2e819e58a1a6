"""The keys of token issuers: where they are published, what was fetched, and rules without keys.

The server fetches them (`mizzen.server.key_set_refresh`). Here they are values, an input of the mesh beside
its documents. Until the keys of an issuer are known, all its tokens are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config
from mizzen.config.models import JWTRule, RequestAuthentication
from mizzen.config.validation.request_authentication import key_uri_problem

NO_KEYS: Final = "MZ0303"
"""No keys are known for an issuer, so all its tokens are refused."""
OLD_KEYS: Final = "MZ0304"
"""The keys of an issuer could not be refreshed; the keys fetched before stay in force."""
_DISCOVERY: Final = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True, order=True)
class KeySource:
    """Where the keys of an issuer are published: at `uri`. If `discovered`, the issuer's configuration is at
    `uri` (OpenID Connect Discovery), and it says where."""

    uri: str
    discovered: bool = False

    def __str__(self) -> str:
        """The URI without the parts that may be secret: a password, a query."""
        parts = urlsplit(self.uri)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "..." if parts.query else "", ""))


@dataclass(frozen=True, slots=True)
class FetchedKeys:
    """The result of fetching. `keys` is the last key set in JSON, empty if there never was one. `problem` is
    why the last attempt failed, empty if it succeeded; after a failure, `moment` says when the keys were
    fetched."""

    keys: str = ""
    moment: str = ""
    problem: str = ""


Fetched = tuple[tuple[KeySource, FetchedKeys], ...]


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """All fetched keys, by source; immutable."""

    by_source: Mapping[KeySource, FetchedKeys] = field(default_factory=dict)


NO_TOKEN_KEYS: Final = TokenKeys()


def key_source(rule: JWTRule) -> KeySource | None:
    """Return where the keys of a rule are published; None if the rule contains them, or names no source."""
    if rule.jwks:
        return None
    if rule.jwks_uri:
        return KeySource(rule.jwks_uri)
    if rule.issuer and key_uri_problem(rule.issuer) is None:
        return KeySource(rule.issuer.rstrip("/") + _DISCOVERY, discovered=True)
    return None


def key_sources(policies: Iterable[Config[RequestAuthentication]]) -> set[KeySource]:
    """Return the sources of the keys of all rules of these policies."""
    found = (key_source(rule) for policy in policies for rule in policy.spec.jwt_rules)
    return {source for source in found if source is not None}


def keys_of(rule: JWTRule, fetched: Fetched) -> str:
    """Return the key set of a rule, its own or the fetched one; empty if none is known."""
    source = key_source(rule)
    if source is None:
        return rule.jwks
    return dict(fetched).get(source, FetchedKeys()).keys


def rules_without_keys(
    policies: Iterable[Config[RequestAuthentication]], fetched: Fetched
) -> Iterator[Diagnostic]:
    """Yield a warning for each rule whose keys are not known (MZ0303) or could not be refreshed (MZ0304)."""
    known = dict(fetched)
    for policy in policies:
        for index, rule in enumerate(policy.spec.jwt_rules):
            source = key_source(rule)
            if rule.jwks:
                continue
            found = known.get(source) if source is not None else None
            told = _words(rule, source, found)
            if told is not None:
                code, words = told
                origin = policy.origin_of("spec", "jwtRules", index)
                yield Diagnostic(Severity.WARNING, code, words, origin, f"spec.jwtRules[{index}]")


def _words(rule: JWTRule, source: KeySource | None, found: FetchedKeys | None) -> tuple[str, str] | None:
    whose = f"of {rule.issuer}" if rule.issuer else "of this rule"
    refused = f"every token {whose} is refused"
    if source is None:
        return NO_KEYS, f"{refused}, as nothing tells its keys; write jwksUri or jwks"
    if found is None:
        return (
            NO_KEYS,
            f"{refused} until `mizzen serve` has fetched its keys from {source}; nothing else does",
        )
    if not found.problem:
        return None
    if not found.keys:
        return NO_KEYS, f"{refused}, as its keys could not be fetched from {source}: {found.problem}"
    return OLD_KEYS, (
        f"the keys {whose} could not be fetched again from {source}: {found.problem}; those of "
        f"{found.moment} stay in force"
    )
