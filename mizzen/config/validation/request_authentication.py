"""The rules of RequestAuthentication.

https://istio.io/latest/docs/reference/config/security/request_authentication/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from mizzen.config.document import Config
from mizzen.config.json_web_keys import has_keys, key_set_problem, tells_secrets
from mizzen.config.models import JWTRule, RequestAuthentication
from mizzen.config.validation.durations import check_duration
from mizzen.config.validation.header_forms import (
    header_text_problem,
    parameter_name_problem,
    strict_name_problem,
)
from mizzen.config.validation.place import Place
from mizzen.config.validation.policy_targets import check_policy_targets

_LONGEST_URI: Final = 2048
_MOST_CLAIMS: Final = 64
_MOST_RULES: Final = 4096


def check_request_authentication(config: Config[RequestAuthentication], place: Place) -> None:
    """Report at `place`, the spec, all that is wrong with a RequestAuthentication."""
    policy = config.spec
    check_policy_targets(policy.selector, policy.target_ref, policy.target_refs, place)
    if len(policy.jwt_rules) > _MOST_RULES:
        (place / "jwtRules").error(f"there are too many rules; at most {_MOST_RULES} are possible")
    for index, rule in enumerate(policy.jwt_rules):
        _check_rule(rule, place / "jwtRules" / index)


def key_uri_problem(uri: str) -> str | None:
    """`uri` must be an http or https URI with a host: nothing else is fetched."""
    if len(uri) > _LONGEST_URI:
        return f"the URI is too long; at most {_LONGEST_URI} characters are possible"
    try:
        parts = urlsplit(uri)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if well_formed and uri.isprintable() and " " not in uri:
        return None
    return "this is not a URI of http or https; write one such as https://example.com/keys"


def _check_rule(rule: JWTRule, place: Place) -> None:
    _check_texts(rule.audiences, place / "audiences", "the audience")
    _check_issuer(rule, place)
    _check_keys(rule, place)
    for index, header in enumerate(rule.from_headers):
        here = place / "fromHeaders" / index
        if not header.name:
            (here / "name").error("the header's name is empty; write one")
        (here / "name").check(header_text_problem(header.name))
        (here / "prefix").check(header_text_problem(header.prefix))
    for index, name in enumerate(rule.from_params):
        (place / "fromParams" / index).check(parameter_name_problem(name))
    _check_texts(rule.from_cookies, place / "fromCookies", "the cookie's name")
    (place / "outputPayloadToHeader").check(header_text_problem(rule.output_payload_to_header))
    for index, output in enumerate(rule.output_claim_to_headers):
        here = place / "outputClaimToHeaders" / index
        (here / "header").check(strict_name_problem(output.header))
        if not output.claim:
            (here / "claim").error("the claim is empty; write its name, such as sub")
    check_duration(rule.timeout, place / "timeout")
    _check_texts(rule.space_delimited_claims, place / "spaceDelimitedClaims", "the claim")
    if len(rule.space_delimited_claims) > _MOST_CLAIMS:
        (place / "spaceDelimitedClaims").error(
            f"there are too many claims; at most {_MOST_CLAIMS} are possible"
        )


def _check_texts(texts: Sequence[str], place: Place, what: str) -> None:
    for index, text in enumerate(texts):
        if not text:
            (place / index).error(f"{what} is empty; write one, or leave it out")


def _check_issuer(rule: JWTRule, place: Place) -> None:
    if "issuer" in rule.model_fields_set and not rule.issuer:
        (place / "issuer").error("the issuer is empty; write it, or leave it out to take tokens of any")
    elif not rule.issuer and not rule.jwks_uri:
        place.error("issuer and jwksUri are both missing; write the issuer")
    elif not rule.jwks and not rule.jwks_uri and key_uri_problem(rule.issuer):
        place.warning(
            "no keys can be found, so every token of this issuer is refused: the issuer is not a URI that "
            "leads to them; write jwksUri or jwks"
        )


def _check_keys(rule: JWTRule, place: Place) -> None:
    if rule.jwks_uri and rule.jwks:
        (place / "jwksUri").error("jwksUri and jwks exclude each other; keep one of them")
    if "jwks_uri" in rule.model_fields_set:
        (place / "jwksUri").check(key_uri_problem(rule.jwks_uri))
    if not rule.jwks:
        return
    here = place / "jwks"
    if not here.check(key_set_problem(rule.jwks)):
        return
    if not has_keys(rule.jwks):
        here.warning('every token of this issuer is refused: there is no list of keys; write {"keys": [...]}')
    if tells_secrets(rule.jwks):
        here.warning("the key set holds private or symmetric keys, which proxies are sent; write public ones")
