"""What changes in the security policies of a listener, reported once for all its filter chains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2

from mizzen.config.group_kinds import AUTHORIZATION_POLICY
from mizzen.explain.chain_words import chains
from mizzen.explain.policies import rule_words
from mizzen.plan.change import Change, Danger, Sign
from mizzen.plan.message_differences import differences
from mizzen.plan.places import of_policies, of_policy_rule, of_token_rule
from mizzen.simulate.rbac import policy_words
from mizzen.simulate.typed_config import unpacked
from mizzen.translator.filters.external_authorization import authorizer_named_in

_FILTERS: Final = (http_rbac_pb2.RBAC, network_rbac_pb2.RBAC, jwt_authn_pb2.JwtAuthentication)
_ALLOW: Final = rbac_pb2.RBAC.ALLOW
_DENY: Final = rbac_pb2.RBAC.DENY
_VERBS: Final = {_ALLOW: "allows", _DENY: "denies", rbac_pb2.RBAC.LOG: "audits"}

_Rule = tuple[int, bool, str]
"""The action, whether the rule is a dry run, and the name."""


@dataclass(slots=True)
class _Policies:
    """The policies of a listener.

    `rules` holds each rule in its two forms: for requests and for connections. `guarded`: calls need a rule
    that allows them. `providers` are the token providers by issuer, with their names.
    """

    rules: dict[_Rule, dict[str, Any]] = field(default_factory=dict)
    guarded: bool = False
    providers: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)


def policy_changes(old: Any, new: Any) -> Iterator[Change]:
    """Yield the changes in the security policies of a Listener."""
    was, now = _policies(old), _policies(new)
    name, place = "of action ALLOW", of_policies(str(new.name), AUTHORIZATION_POLICY)
    if now.guarded and not was.guarded:
        what = "what no rule allows is denied now"
        yield Change(Sign.ADDED, "policies", name, what, danger=Danger.REFUSED, place=place)
    elif was.guarded and not now.guarded:
        yield Change(Sign.REMOVED, "policies", name, "what no rule denies is allowed now", place=place)
    for rule in dict.fromkeys((*was.rules, *now.rules)):
        yield from _rule(rule, was.rules.get(rule), now.rules.get(rule), guarded=now.guarded)
    for issuer in dict.fromkeys((*was.providers, *now.providers)):
        before, after = was.providers.get(issuer, ()), now.providers.get(issuer, ())
        yield from _tokens(issuer, before, after, guarded=now.guarded)


def without_policies(chain: Any) -> Any:
    """Return a FilterChain without the filters that `policy_changes` reports."""
    kept = type(chain)()
    kept.CopyFrom(chain)
    _drop_policies(kept.filters)
    for each in kept.filters:
        manager = unpacked(each.typed_config, http_connection_manager_pb2.HttpConnectionManager)
        if manager is not None and _drop_policies(manager.http_filters):
            each.typed_config.value = manager.SerializeToString(deterministic=True)
    return kept


def _drop_policies(filters: Any) -> bool:
    kept = [each for each in filters if _message(each) is None]
    dropped = len(kept) < len(filters)
    if dropped:
        del filters[:]
        filters.extend(kept)
    return dropped


def _message(filter_: Any) -> Any | None:
    """Return the configuration of a filter that decides who may call, or None for any other filter."""
    return next((found for each in _FILTERS if (found := unpacked(filter_.typed_config, each))), None)


def _policies(listener: Any) -> _Policies:
    found = _Policies()
    for _, chain in chains(listener):
        for message in _messages(chain):
            if isinstance(message, jwt_authn_pb2.JwtAuthentication):
                _note_providers(found, message)
            else:
                _note_rules(found, message)
    return found


def _messages(chain: Any) -> Iterator[Any]:
    for each in chain.filters:
        if (message := _message(each)) is not None:
            yield message
        manager = unpacked(each.typed_config, http_connection_manager_pb2.HttpConnectionManager)
        for below in manager.http_filters if manager is not None else ():
            if (message := _message(below)) is not None:
                yield message


def _note_rules(found: _Policies, message: Any) -> None:
    form = message.DESCRIPTOR.full_name
    for kind in ("rules", "shadow_rules"):
        if message.HasField(kind):
            rules = getattr(message, kind)
            found.guarded |= kind == "rules" and rules.action == _ALLOW
            for name, policy in rules.policies.items():
                found.rules.setdefault((rules.action, kind != "rules", str(name)), {})[form] = policy


def _note_providers(found: _Policies, message: Any) -> None:
    for name, provider in sorted(message.providers.items()):
        known = found.providers.setdefault(str(provider.issuer), [])
        if all(each != provider for _, each in known):
            known.append((str(name), provider))


def _rule(
    rule: _Rule, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, *, guarded: bool
) -> Iterator[Change]:
    action, tried, name = rule
    if old == new:
        return
    verb = _VERBS.get(action, "decides about")
    if authorizer := authorizer_named_in(name):
        verb = f"asks the authorizer {authorizer} about"
    elif tried:
        verb = f"would be one that {verb} (dry run)"
    refuses = not tried or bool(authorizer)
    narrows = refuses and action == _ALLOW and guarded
    title, place = rule_words(name), of_policy_rule(name)
    if old is None:
        danger = Danger.REFUSED if refuses and action == _DENY else Danger.NONE
        what = f"{verb} {_words(new)}"
        yield Change(Sign.ADDED, "policy", title, what, danger=danger, place=place)
    elif new is None:
        danger = Danger.REFUSED if narrows else Danger.NONE
        what = f"no longer {verb} {_words(old)}"
        yield Change(Sign.REMOVED, "policy", title, what, danger=danger, place=place)
    else:
        danger = Danger.REFUSED if narrows or (refuses and action == _DENY) else Danger.NONE
        was, now = _words(old), _words(new)
        what = f"{verb} {now}" + (f", before: {was}" if was != now else "")
        yield Change(Sign.CHANGED, "policy", title, what, danger=danger, place=place)


def _words(forms: Mapping[str, Any] | None) -> str:
    """Return a rule in words: its form for requests, or for connections if it has no other."""
    forms = forms or {}
    policy = forms.get(http_rbac_pb2.RBAC.DESCRIPTOR.full_name) or next(iter(forms.values()), None)
    return policy_words(policy) if policy is not None else "nothing"


def _tokens(
    issuer: str, old: Iterable[tuple[str, Any]], new: Iterable[tuple[str, Any]], *, guarded: bool
) -> Iterator[Change]:
    was, now = list(old), list(new)
    if [each for _, each in was] == [each for _, each in now]:
        return
    name, place = f"of {issuer or 'any issuer'}", of_token_rule((now or was)[0][0])
    if not was:
        what = "are looked for; a request with one that is not valid is refused (401)"
        yield Change(Sign.ADDED, "tokens", name, what, danger=Danger.REFUSED, place=place)
    elif not now:
        what = "are not read any more, so their claims are unknown"
        danger = Danger.REFUSED if guarded else Danger.NONE
        yield Change(Sign.REMOVED, "tokens", name, what, danger=danger, place=place)
    else:
        details = [text for (_, a), (_, b) in zip(was, now, strict=False) for text in differences(a, b)]
        if len(was) != len(now):
            details.append(f"from {len(was)} rules to {len(now)}")
        yield Change(Sign.CHANGED, "tokens", name, "", tuple(details), Danger.REFUSED, place)
