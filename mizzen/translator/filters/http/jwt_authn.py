"""Tokens (JWT): a request without a token passes; a request with an invalid token gets the answer 401.

Source: Istio's pilot/pkg/security/authn/policy_applier.go; of the fields: Envoy's
envoy.extensions.filters.http.jwt_authn.v3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.config.document import Config
from mizzen.config.group_kinds import REQUEST_AUTHENTICATION
from mizzen.config.models import JWTRule, RequestAuthentication
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.mesh.rules.token_keys import keys_of
from mizzen.translator.base.dynamic_metadata import JWT_FILTER, JWT_PAYLOAD
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext, HttpStep
from mizzen.translator.filters.role import Role

UNUSABLE_KEY_SET: Final = (
    '{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"no-keys-known",'
    '"x":"z-aY_OXdRrZeWp22IlQKapn2QNWGW51c4NgNXr0sZ_k","y":"XDVcS9Xskqx97yv7X9w7S9QMAyY4-uNnP9JD8Vg-9rI"}]}'
)
"""A key set that accepts no token. The x of its key is a hash of a text, so that no private key is known."""

_SPACE_DELIMITED: Final = frozenset({"permission", "scope"})


def jwt_authn(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filter if the workload has a RequestAuthentication with rules."""
    rules = [rule for _, _, rule in token_rules(context.policies)]
    if not rules or context.role is Role.SIDECAR_OUTBOUND:
        return
    authentication = jwt_authn_pb2.JwtAuthentication(bypass_cors_preflight=True)
    names = [provider_name(index) for index in range(len(rules))]
    for name, rule in zip(names, rules, strict=True):
        provider = _provider(rule, keys_of(rule, context.policies.fetched_keys) or UNUSABLE_KEY_SET)
        # At gateways, the route may depend on claims, so Envoy must choose it again after this filter.
        provider.clear_route_cache = context.role is Role.GATEWAY
        authentication.providers[name].CopyFrom(provider)
    requirement = authentication.rules.add()
    requirement.match.prefix = "/"
    requirement.requires.CopyFrom(_requirement(names))
    yield typed(hcm.HttpFilter, JWT_FILTER, authentication)


def token_rules(policies: WorkloadPolicies) -> list[tuple[Config[RequestAuthentication], int, JWTRule]]:
    """Return the rules of a workload's RequestAuthentications in the order of the filter's providers, each
    with its document and its index there."""
    rules = [
        (policy, index, rule)
        for policy in policies.request_authentications
        for index, rule in enumerate(policy.spec.jwt_rules)
    ]
    return sorted(rules, key=lambda each: each[2].issuer)


def provider_name(index: int) -> str:
    """Return the name of the provider for the rule at `index` in `token_rules`."""
    return f"origins-{index}"


def _provider(rule: JWTRule, keys: str) -> Any:
    provider = jwt_authn_pb2.JwtProvider(
        issuer=rule.issuer,
        audiences=rule.audiences,
        forward=rule.forward_original_token,
        forward_payload_header=rule.output_payload_to_header,
        payload_in_metadata=JWT_PAYLOAD,
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
    )
    provider.local_jwks.inline_string = keys
    delimited = _SPACE_DELIMITED.union(rule.space_delimited_claims)
    provider.normalize_payload_in_metadata.space_delimited_claims.extend(sorted(delimited))
    for header in rule.from_headers:
        provider.from_headers.add(name=header.name, value_prefix=header.prefix)
    for output in rule.output_claim_to_headers:
        provider.claim_to_headers.add(header_name=output.header, claim_name=output.claim)
    return provider


def _requirement(names: list[str]) -> Any:
    """Return the requirement for all rules: each accepts its own valid token or no token.

    One valid token is also enough: several rules may look for tokens in the same header, and then each
    rejects the tokens of the others.
    """
    each = [_valid_or_missing(name) for name in names]
    if len(each) == 1:
        return each[0]
    either = jwt_authn_pb2.JwtRequirement()
    for name in names:
        either.requires_any.requirements.add(provider_name=name)
    either.requires_any.requirements.add().requires_all.requirements.extend(each)
    return either


def _valid_or_missing(name: str) -> Any:
    requirement = jwt_authn_pb2.JwtRequirement()
    requirement.requires_any.requirements.add(provider_name=name)
    requirement.requires_any.requirements.add().allow_missing.SetInParent()
    return requirement


FILTER: Final = HttpFilter(JWT_FILTER, HttpStep.AUTHENTICATION, jwt_authn, policy=REQUEST_AUTHENTICATION)
