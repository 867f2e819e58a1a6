"""Tokens are accepted from their own issuer, in time and for us alone."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from mizzen.identity.private_file import write_private
from mizzen.identity.token import (
    TokenError,
    TokenKeyError,
    TokenVerifier,
    issue_token,
    open_or_create_key,
    own_keys,
    parse_key_set,
    read_key_set,
)
from mizzen.identity.workload_certificate import private_key_pem

NOW = datetime(2026, 11, 28, 22, 0, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
VERIFIER = TokenVerifier(own_keys(KEY).get)
GOOD = issue_token(KEY, "shop", "reviews", NOW, timedelta(hours=1))


def signed(
    key: Any = KEY, algorithm: str = "ES256", headers: dict[str, str] | None = None, **changes: Any
) -> str:
    claims = {
        "iss": "mizzen",
        "aud": "istio-ca",
        "sub": "system:serviceaccount:shop:reviews",
        "exp": NOW.timestamp() + 60,
        **changes,
    }
    return jwt.encode(
        {name: each for name, each in claims.items() if each is not None}, key, algorithm, headers
    )


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
        (signed(sub="system:serviceaccount:shop:a;URI=spiffe://d/ns/n/sa/admin"), "subject"),
        (signed(sub="system:serviceaccount:..:reviews"), "subject"),
        (signed(ec.generate_private_key(ec.SECP256R1())), "no key of its issuer"),
        (signed("a secret that is long enough for it", "HS256"), "no key of its issuer"),
        (jwt.encode({"iss": "mizzen", "aud": "istio-ca"}, "", algorithm="none"), "no key of its issuer"),
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
    verifier = TokenVerifier({"https://issuer": read_key_set(file)}.get)
    assert verifier.verify(signed(other, iss="https://issuer"), NOW).issuer == "https://issuer"
    with pytest.raises(TokenError, match="not trusted"):
        verifier.verify(signed(other), NOW)
    for unusable in ("{}", "[]", "no JSON", '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', "[" * 100_000):
        file.write_text(unusable)
        with pytest.raises(TokenKeyError, match=r"jwks\.json") as said:
            read_key_set(file)
        assert "c2VjcmV0" not in str(said.value)


def public(key: Any, **more: str) -> dict[str, str]:
    """The public half of a key in JSON."""
    algorithm = (
        jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    )
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), **more}


@pytest.mark.parametrize("ids", [("a", "b"), ("", "")], ids=["with-ids", "without"])
def test_the_key_that_signed_is_found_among_those_of_an_issuer(ids: tuple[str, str]) -> None:
    """Others of another kind, and one of shared secrets, do not stand in its way."""
    pair = (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1()))
    known = [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]
    known += [public(key, **({"kid": name} if name else {})) for key, name in zip(pair, ids, strict=True)]
    verifier = TokenVerifier({"mizzen": parse_key_set(json.dumps({"keys": known}))}.get)
    for key, algorithm, name in zip(pair, ("RS256", "ES256"), ids, strict=True):
        for shown in ({"kid": name} if name else {}, {}, {} if name else {"kid": "unknown"}):
            token = signed(key, algorithm, headers=shown)
            assert verifier.verify(token, NOW).service_account == "reviews"
    if ids[0]:
        with pytest.raises(TokenError, match="no key of its issuer"):
            verifier.verify(signed(pair[0], "RS256", headers={"kid": "b"}), NOW)


def test_a_public_key_is_no_shared_secret() -> None:
    """Whoever takes the issuer's public key for the secret of an HMAC signs nothing that is believed."""
    theirs = ec.generate_private_key(ec.SECP256R1())
    text = json.dumps({"keys": [public(theirs, kid="1")]})
    verifier = TokenVerifier({"mizzen": parse_key_set(text)}.get)
    claims = {"iss": "mizzen", "aud": "istio-ca", "sub": "system:serviceaccount:shop:reviews", "exp": 2**35}
    parts = [{"alg": "HS256", "kid": "1"}, claims]
    head = ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    pem = theirs.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, text.encode()):
        mac = urlsafe_b64encode(hmac.digest(secret, head.encode(), "sha256")).decode().rstrip("=")
        with pytest.raises(TokenError, match="no key of its issuer"):
            verifier.verify(f"{head}.{mac}", NOW)


def test_an_issuer_whose_keys_are_not_known() -> None:
    with pytest.raises(TokenError, match="are not known"):
        TokenVerifier({"mizzen": ()}.get).verify(GOOD, NOW)


def test_two_that_make_the_key_at_once_have_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ec.generate_private_key(ec.SECP256R1())

    def slower(path: Path, content: bytes, *, replaces: bool) -> None:
        if not path.exists():
            write_private(path, private_key_pem(other))
        write_private(path, content, replaces=replaces)

    monkeypatch.setattr("mizzen.identity.token.write_private", slower)
    assert open_or_create_key(tmp_path).public_key() == other.public_key()
    assert [file.name for file in tmp_path.iterdir()] == ["token-key.pem"]


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
