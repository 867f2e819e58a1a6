"""Tokens are accepted from their own issuer, in time and for us alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from mizzen.identity.token import (
    TokenError,
    TokenKeyError,
    TokenVerifier,
    issue_token,
    open_or_create_key,
    own_keys,
    read_key_set,
)

NOW = datetime(2026, 11, 28, 22, 0, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
VERIFIER = TokenVerifier(own_keys(KEY))
GOOD = issue_token(KEY, "shop", "reviews", NOW, timedelta(hours=1))


def signed(key: Any = KEY, algorithm: str = "ES256", **changes: Any) -> str:
    claims = {
        "iss": "mizzen",
        "aud": "istio-ca",
        "sub": "system:serviceaccount:shop:reviews",
        "exp": NOW.timestamp() + 60,
        **changes,
    }
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


def test_a_token_says_whose_it_is() -> None:
    found = VERIFIER.verify(GOOD, NOW)
    assert (found.namespace, found.service_account, found.expires) == (
        "shop",
        "reviews",
        NOW + timedelta(hours=1),
    )
    assert "reviews" in str(found)
    assert "istio-ca" not in str(found)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (signed(exp=NOW.timestamp()), "expired"),
        (signed(exp=NOW.timestamp() - 3600), "expired"),
        (signed(exp=None), "MissingRequiredClaimError"),
        (signed(exp=10**400), "time of expiry"),
        (signed(nbf=NOW.timestamp() + 3600), "not valid yet"),
        (signed(aud="somebody-else"), "audience"),
        (signed(aud=None), "MissingRequiredClaimError"),
        (signed(iss="https://elsewhere"), "issuer"),
        (signed(sub="reviews"), "subject"),
        (signed(sub="system:serviceaccount:shop/x:reviews"), "subject"),
        (signed(ec.generate_private_key(ec.SECP256R1())), "no key of its issuer"),
        (signed("a secret that is long enough for it", "HS256"), "InvalidAlgorithmError"),
        (jwt.encode({"iss": "mizzen", "aud": "istio-ca"}, "", algorithm="none"), "InvalidAlgorithmError"),
        ("", "no JWT"),
        ("a.b.c", "no JWT"),
        ("x" * 20000, "longer"),
    ],
)
def test_what_is_refused(token: str, said: str) -> None:
    with pytest.raises(TokenError, match=said) as refused:
        VERIFIER.verify(token, NOW)
    for part in filter(None, token.split(".")):
        assert len(part) < 4 or part not in str(refused.value)


@given(
    st.text(max_size=200)
    | st.lists(st.binary(max_size=40), max_size=4).map(lambda p: ".".join(map(bytes.hex, p)))
)
def test_garbage_is_refused_in_words(token: str) -> None:
    with pytest.raises(TokenError):
        VERIFIER.verify(token, NOW)


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_a_token_that_was_touched_is_refused(place: int, other: str) -> None:
    touched = GOOD[:place] + other + GOOD[place + 1 :]
    try:
        found = VERIFIER.verify(touched, NOW)
    except TokenError:
        return
    # The last bits of base64 carry nothing.
    assert (found.namespace, found.service_account) == ("shop", "reviews")


def test_a_key_set_of_an_issuer(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(other.public_key()))
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [{**public, "kid": "1"}]}))
    verifier = TokenVerifier({"https://issuer": read_key_set(file)})
    assert verifier.verify(signed(other, iss="https://issuer"), NOW).issuer == "https://issuer"
    with pytest.raises(TokenError, match="not trusted"):
        verifier.verify(signed(other), NOW)
    file.write_text("{}")
    with pytest.raises(TokenKeyError, match=r"jwks\.json"):
        read_key_set(file)


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    key = open_or_create_key(state)
    file = state / "token-key.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert open_or_create_key(state).public_key() == key.public_key()
    file.chmod(0o640)
    with pytest.raises(TokenKeyError, match="chmod 600"):
        open_or_create_key(state)
    file.chmod(0o600)
    file.write_text("nonsense")
    with pytest.raises(TokenKeyError, match=r"token-key\.pem") as refused:
        open_or_create_key(state)
    assert "nonsense" not in str(refused.value)
