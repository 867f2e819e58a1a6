"""The keys that issuers of tokens sign with: where a rule has them from, and those that are known.

Rules may hold their keys themselves (`jwks`). All other keys are for whoever owns the mesh to fetch; they
stand in it as documents of the kind KEY_SET, so that a fetched key set changes the mesh as a saved document
does. Without them each token of the issuer is refused.
Source: https://istio.io/latest/docs/reference/config/security/jwt/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import Config
from mizzen.config.lines import DocumentLines
from mizzen.config.models import JWTRule, RequestAuthentication

KEY_SET: Final = "JsonWebKeySet"
"""The kind of the documents. No file can hold one."""

NO_KEYS: Final = "MZ0303"
"""No keys are known for an issuer, so that each of its tokens is refused."""

_DISCOVERY: Final = "/.well-known/openid-configuration"
_TIMEOUT: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, order=True)
class KeySource:
    """Where a key set is fetched. With `discovery` the URL is that of an OpenID provider's configuration,
    which names the URL of the keys."""

    url: str
    discovery: bool = False


@dataclass(frozen=True, slots=True)
class KeySet:
    """A key set as its source gave it: `text` is JSON (RFC 7517)."""

    source: KeySource
    text: str


def key_set_document(source: KeySource, text: str) -> Config[KeySet]:
    """Return the document that makes a fetched key set known to a mesh."""
    kind = "openid" if source.discovery else "jwks"
    return Config(
        api_version="",
        kind=KEY_SET,
        namespace="",
        name=f"{kind}:{source.url}",
        spec=KeySet(source, text),
        origin=Origin(source.url),
        lines=DocumentLines.single(0),
    )


def key_source(rule: JWTRule) -> KeySource | None:
    """Return where the rule's keys are fetched; None if it holds them, or if nobody can know where."""
    if rule.jwks:
        return None
    if rule.jwks_uri:
        return KeySource(rule.jwks_uri)
    try:
        parts = urlsplit(rule.issuer)
        fetchable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        fetchable = False
    return KeySource(rule.issuer.rstrip("/") + _DISCOVERY, discovery=True) if fetchable else None


def key_sources(policies: Iterable[Config[RequestAuthentication]]) -> dict[KeySource, timedelta]:
    """Return where the keys of all rules are fetched, each with the longest time that a rule gives it."""
    found: dict[KeySource, timedelta] = {}
    for policy in policies:
        for rule in policy.spec.jwt_rules:
            source = key_source(rule)
            if source is not None:
                timeout = rule.timeout if rule.timeout is not None else _TIMEOUT
                found[source] = max(found.get(source, timeout), timeout)
    return found


def key_sets_of(
    policies: Iterable[Config[RequestAuthentication]], known: Iterable[Config[KeySet]]
) -> tuple[Config[KeySet], ...]:
    """Return those of the known key sets that the policies use."""
    by_source = {each.spec.source: each for each in known}
    return tuple(by_source[source] for source in sorted(key_sources(policies)) if source in by_source)


def keys_of(rule: JWTRule, known: Mapping[KeySource, str]) -> str | None:
    """Return the text of the rule's key set, None if it is not known."""
    if rule.jwks:
        return rule.jwks
    source = key_source(rule)
    return known.get(source) if source is not None else None


def texts(documents: Iterable[Config[KeySet]]) -> dict[KeySource, str]:
    """Return the texts of key sets by their sources."""
    return {each.spec.source: each.spec.text for each in documents}


def rules_without_keys(
    policies: Iterable[Config[Any]], documents: Iterable[Config[KeySet]]
) -> Iterator[Diagnostic]:
    """Yield a warning (MZ0303) for each rule whose keys are not known: no token of its issuer is valid."""
    known = texts(documents)
    for policy in policies:
        for index, rule in enumerate(policy.spec.jwt_rules):
            if keys_of(rule, known) is None:
                path = f"spec.jwtRules[{index}]"
                yield Diagnostic(
                    Severity.WARNING, NO_KEYS, _words(rule), policy.origin_of("spec", "jwtRules", index), path
                )


def _words(rule: JWTRule) -> str:
    whose = f"of {rule.issuer}" if rule.issuer else "of this rule"
    if key_source(rule) is None:
        return f"every token {whose} is refused: nothing says where its keys are; write jwksUri or jwks"
    where = "jwksUri" if rule.jwks_uri else "the issuer's OpenID configuration"
    return f"every token {whose} is refused: keys are not fetched from {where} yet; write them under jwks"
