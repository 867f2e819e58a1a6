"""What the JWT filter says of a request and does to it."""

from __future__ import annotations

import base64
import dataclasses
import json
from functools import cache
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from mizzen.simulate import Call, Failure, Outcome, Simulator, Verdict
from mizzen.simulate.verdict import Decision
from tests.unit.simulate.simulated_proxy import get, http, typed

ISSUER = "https://issuer.example"
NOW = 1_800_000_000.0
ROUTES = """
virtual_hosts:
- name: a
  domains: ['*']
  routes:
  - name: jason
    match: {prefix: /, headers: [{name: x-who, string_match: {exact: jason}}]}
    route: {cluster: c}
  - {name: rest, match: {prefix: /}, route: {cluster: c}}
"""


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_set(*names: str) -> str:
    keys = [json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(key(name).public_key())) for name in names]
    return json.dumps({"keys": [{**each, "kid": name} for name, each in zip(names, keys, strict=True)]})


def token(signed_by: str = "one", kid: str | None = None, **claims: Any) -> str:
    known = {"iss": ISSUER, "sub": "jason", "aud": "shop", **claims}
    headers = {"kid": kid} if kid is not None else None
    return jwt.encode(
        {name: value for name, value in known.items() if value is not None}, key(signed_by), "ES256", headers
    )


def proxy(requires: str = "", **provider: Any) -> Simulator:
    known = {
        "issuer": ISSUER,
        "local_jwks": {"inline_string": key_set("one")},
        "payload_in_metadata": "payload",
        **provider,
    }
    valid_or_missing = "{requires_any: {requirements: [{provider_name: p}, {allow_missing: {}}]}}"
    rule = {"match": {"prefix": "/"}, "requires": yaml.safe_load(requires or valid_or_missing)}
    config = {"providers": {"p": known}, "rules": [rule], "bypass_cors_preflight": True}
    return http(ROUTES, filters=(typed("jwt", "jwt_authn", **config),))


def judged(call: Call, requires: str = "", **provider: Any) -> Verdict:
    return proxy(requires, **provider).verdict(call, runners_up=True)


@cache
def proxy_for_all_examples() -> Simulator:
    return proxy(from_headers=[{"name": "x-token"}], audiences=["shop"])


def bearing(text: str, **fields: Any) -> Call:
    return get(headers={"authorization": f"Bearer {text}"}, moment=NOW, **fields)


def test_who_brings_no_token_passes_if_none_is_required() -> None:
    assert judged(get()).policies[0].decision is Decision.ALLOWED
    refused = judged(get(), "{provider_name: p}")
    assert (refused.failure, refused.status) == (Failure.NO_TOKEN, 401)


@pytest.mark.parametrize(
    "call",
    [
        bearing(token()),
        bearing(token(kid="one")),
        bearing(token(exp=int(NOW) - 59)),
        bearing(token(nbf=int(NOW) + 59)),
        get(f"/?access_token={token()}", moment=NOW),
        get(claims={"iss": ISSUER, "sub": "jason", "exp": 1}),
        dataclasses.replace(bearing(token(exp=1)), moment=None),
    ],
    ids=["header", "kid", "ends", "begins", "parameter", "claims", "no clock"],
)
def test_a_valid_token(call: Call) -> None:
    verdict = judged(call)
    assert verdict.policies[0].decision is Decision.ALLOWED
    assert verdict.policies[0].policy == "p"


@pytest.mark.parametrize(
    ("text", "condition", "status"),
    [
        ("a.b", "token", 401),
        (token(iss="https://other.example"), "issuer of the token", 401),
        (token(iss=None), "issuer of the token", 401),
        (token("two"), "signature of the token", 401),
        (token(kid="two"), "key of the token", 401),
        (token(exp=int(NOW) - 61), "exp of the token", 401),
        (token(nbf=int(NOW) + 61), "nbf of the token", 401),
        (token(aud="bank"), "audience of the token", 403),
        (jwt.encode({"iss": ISSUER}, "", "none"), "token's algorithm", 401),
    ],
)
def test_a_token_that_is_refused(text: str, condition: str, status: int) -> None:
    verdict = judged(bearing(text), audiences=["shop", "https://shop.example/"])
    assert (verdict.outcome, verdict.status) == (Outcome.FAILED, status)
    lost = verdict.policies[0].lost
    assert lost is not None
    assert (lost.name, lost.condition) == ("p", condition)


def test_audiences_count_without_scheme_and_slash() -> None:
    assert (
        judged(bearing(token(aud=["x", "http://shop.example"])), audiences=["https://shop.example/"])
        .policies[0]
        .policy
    )


def test_two_tokens_must_both_be_valid() -> None:
    both = get(f"/?access_token={token('two')}", headers={"authorization": f"Bearer {token()}"})
    assert judged(both).failure is Failure.INVALID_TOKEN


@pytest.mark.parametrize(
    ("place", "call"),
    [
        (
            {"from_headers": [{"name": "X-Token", "value_prefix": "T "}]},
            get(headers={"x-token": f"T {token()}"}),
        ),
        ({"from_params": ["t"]}, get(f"/?a=1&t={token()}")),
        ({"from_cookies": ["session"]}, get(headers={"cookie": f'a=b; session="{token()}"'})),
    ],
)
def test_other_places_of_tokens(place: dict[str, Any], call: Call) -> None:
    assert judged(call, "{provider_name: p}", **place).policies[0].policy == "p"
    assert judged(bearing(token()), "{provider_name: p}", **place).failure is Failure.NO_TOKEN
    claims = get(claims={"iss": ISSUER})
    assert judged(claims, "{provider_name: p}", **place).policies[0].policy == "p"


def test_a_valid_token_sets_headers_and_is_taken_out() -> None:
    provider = {"claim_to_headers": [{"header_name": "x-who", "claim_name": "sub"}]}
    verdict = judged(bearing(token()), **provider)
    assert verdict.upstream is not None
    assert verdict.upstream.headers == (("x-who", "jason"),)
    forged = judged(get(headers={"x-who": "jason"}), **provider)
    assert forged.upstream is not None
    assert forged.upstream.headers == ()
    kept = judged(bearing(token()), forward=True)
    assert kept.upstream is not None
    assert kept.upstream.headers is None


@pytest.mark.parametrize(("clears", "route"), [(True, "jason"), (False, "rest")])
def test_the_route_is_chosen_anew_if_the_filter_says_so(clears: bool, route: str) -> None:
    provider = {
        "claim_to_headers": [{"header_name": "x-who", "claim_name": "sub"}],
        "clear_route_cache": clears,
    }
    verdict = judged(bearing(token()), **provider)
    assert verdict.route is not None
    assert verdict.route.name == route


def test_claims_are_sent_on_if_the_token_is() -> None:
    claims = {"iss": ISSUER, "sub": "jason"}
    for forward in (True, False):
        verdict = judged(get(claims=claims), forward=forward)
        assert verdict.upstream is not None
        assert verdict.upstream.claims is forward


def test_keys_that_are_not_known_decide_nothing() -> None:
    remote = {"remote_jwks": {"http_uri": {"uri": "http://a", "cluster": "a", "timeout": "1s"}}}
    assert judged(bearing(token()), local_jwks=None, **remote).policies[0].decision is Decision.UNKNOWN
    assert judged(bearing(token(iss="x")), local_jwks=None, **remote).failure is Failure.INVALID_TOKEN


def test_a_preflight_needs_no_token() -> None:
    preflight = get(method="OPTIONS", headers={"origin": "a", "access-control-request-method": "PUT"})
    assert judged(preflight, "{provider_name: p}").policies == ()


def test_what_the_simulator_does_not_know_is_named() -> None:
    assert judged(get(), max_lifetime="60s").unjudged == ("jwt",)


SOME = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "typ"]), SOME | st.just("ES256"))
CLAIMS = st.dictionaries(
    st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "scope", "groups"]), SOME | st.just(ISSUER)
)


@given(st.one_of(st.text(), st.tuples(HEADERS | SOME, CLAIMS | SOME, st.binary(max_size=70))))
def test_whatever_a_token_holds_it_is_refused_and_never_an_error(drawn: Any) -> None:
    text = drawn if isinstance(drawn, str) else ".".join(map(encoded, drawn))
    verdict = proxy_for_all_examples().verdict(get(headers={"x-token": text}, moment=NOW), runners_up=True)
    assert verdict.failure in (Failure.INVALID_TOKEN, Failure.OTHER_AUDIENCE)


@given(CLAIMS)
def test_whatever_claims_are_vouched_for_they_are_judged(claims: dict[str, Any]) -> None:
    verdict = proxy_for_all_examples().verdict(get(claims=claims, moment=NOW), runners_up=True)
    assert verdict.policies[0].decision in (Decision.ALLOWED, Decision.DENIED)


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
