"""Tokens that identify proxies: signed by the control plane, or by issuers that the user trusts.

A token is a JWT (RFC 7519). The time is an argument. No message here shows a part of a token.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mizzen.identity.private_file import OpenToOthersError, read_private, write_private
from mizzen.identity.spiffe_id import NAME
from mizzen.identity.workload_certificate import private_key_pem

ISSUER: Final = "mizzen"
"""The issuer of tokens that the control plane signs itself."""

AUDIENCE: Final = "istio-ca"
"""The audience that every token must have: Istio's, so that tokens made for its agents are accepted too."""

KEY_FILE: Final = "token-key.pem"
"""The key that signs tokens, in the state directory."""

MAX_TOKEN: Final = 16384

_CLOCK_SKEW: Final = timedelta(seconds=60)
_SUBJECT: Final = re.compile(rf"system:serviceaccount:{NAME}:{NAME}")
_ALGORITHMS: Final = (
    "ES256",
    "ES384",
    "ES512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "EdDSA",
)
"""Only asymmetric algorithms: with a shared-secret algorithm, a public key could sign."""


class TokenError(Exception):
    """A token is refused; the message says why, and shows nothing of the token."""


class TokenKeyError(Exception):
    """A key for tokens cannot be used; the message names its file."""


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The content of an accepted token. `expires` is its expiry time; `claims` are all its claims."""

    namespace: str
    service_account: str
    issuer: str
    expires: datetime
    claims: Mapping[str, Any] = field(repr=False)


class TokenVerifier:
    """Checks tokens. `keys_of` returns the public keys of an issuer; None if it is not trusted."""

    def __init__(self, keys_of: Callable[[str], Sequence[jwt.PyJWK] | None]) -> None:
        self._keys_of = keys_of

    def verify(self, token: str, now: datetime) -> VerifiedToken:
        """Return the content of a token. Raises TokenError if it is not valid at `now`."""
        if len(token) > MAX_TOKEN:
            raise TokenError(f"the token is longer than {MAX_TOKEN} characters")
        try:
            header = jwt.get_unverified_header(token)
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise TokenError("the token is no JWT") from None
        keys = self._keys_of(issuer) if isinstance(issuer, str) else None
        if issuer is None or keys is None:
            raise TokenError("the issuer of the token is not trusted")
        if not keys:
            raise TokenError("the keys of the token's issuer are not known")
        claims = _claims(token, [key for key in keys if _may_have_signed(key, header)])
        return _verified(claims, issuer, now)


def own_keys(key: ec.EllipticCurvePrivateKey) -> dict[str, Sequence[jwt.PyJWK]]:
    """Return the control plane itself as a trusted issuer."""
    found = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return {ISSUER: (jwt.PyJWK({**found, "alg": "ES256"}),)}


def read_key_set(path: Path) -> Sequence[jwt.PyJWK]:
    """Return the public keys in a JSON Web Key Set (RFC 7517). Raises TokenKeyError, which names the file."""
    try:
        found = parse_key_set(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TokenKeyError(f"{path}: cannot be read ({reason}); give a readable file") from error
    except ValueError:  # not UTF-8
        found = ()
    if not found:
        raise TokenKeyError(f'{path}: is no JSON Web Key Set with public keys; write {{"keys": [...]}}')
    return found


def parse_key_set(text: str) -> Sequence[jwt.PyJWK]:
    """Return the keys in a JSON Web Key Set (RFC 7517) that can verify signatures;
    none if it is not a key set."""
    try:
        keys = jwt.PyJWKSet.from_json(text).keys
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError):
        return ()
    return tuple(key for key in keys if key.algorithm_name in _ALGORITHMS)


def issue_token(
    key: ec.EllipticCurvePrivateKey, namespace: str, service_account: str, now: datetime, ttl: timedelta
) -> str:
    """Return a token for a service account. Raises ValueError if the names cannot name one."""
    subject = f"system:serviceaccount:{namespace}:{service_account}"
    if _SUBJECT.fullmatch(subject) is None:
        raise ValueError(
            f"{namespace!r} and {service_account!r} name no service account; write names such as shop"
        )
    begin = int(now.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": [AUDIENCE],
        "sub": subject,
        "iat": begin,
        "nbf": begin,
        "exp": begin + int(ttl.total_seconds()),
    }
    return jwt.encode(claims, key, algorithm="ES256")


def open_or_create_key(directory: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key that signs tokens, from the state directory; make it if there is none.

    Raises TokenKeyError if it cannot be used, or if other users may read it.
    """
    path = directory / KEY_FILE
    try:
        if not path.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = private_key_pem(ec.generate_private_key(ec.SECP256R1()))
            with contextlib.suppress(FileExistsError):  # another process was faster: use its key
                write_private(path, new, replaces=False)
        text = read_private(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TokenKeyError(f"{path}: {reason}; give a folder that this user may write") from error
    except OpenToOthersError as error:
        raise TokenKeyError(str(error)) from None
    try:
        found = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, ec.EllipticCurvePrivateKey) or not isinstance(found.curve, ec.SECP256R1):
        raise TokenKeyError(f"{path}: is no key of ECDSA P-256; remove it, and tokens are made anew")
    return found


def _may_have_signed(key: jwt.PyJWK, header: Mapping[str, Any]) -> bool:
    """Tell whether `key` may have signed a token with this header. The key decides the algorithm, never the
    token. Key ids must agree if both have one, as in Envoy."""
    same_id = None in (key.key_id, header.get("kid")) or key.key_id == header["kid"]
    return bool(same_id and key.algorithm_name == header.get("alg"))


def _claims(token: str, keys: Sequence[jwt.PyJWK]) -> Mapping[str, Any]:
    """Return the claims of a token that one of `keys` signed for our audience. The
    time is not checked here."""
    timeless: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp", "sub"]}
    for key in keys:
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token, key, algorithms=[key.algorithm_name], audience=AUDIENCE, options=timeless
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidAudienceError:
            raise TokenError(f"the token is not for the audience {AUDIENCE!r}") from None
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise TokenError(f"the token is not accepted ({type(error).__name__})") from None
        return claims
    raise TokenError("no key of its issuer signed the token")


def _verified(claims: Mapping[str, Any], issuer: str, now: datetime) -> VerifiedToken:
    begin, end = claims.get("nbf", 0), claims["exp"]
    if not all(isinstance(each, int | float) and 0 <= each < 2**40 for each in (begin, end)):
        raise TokenError("the token has no usable time of expiry")
    if end <= now.timestamp():
        raise TokenError("the token has expired")
    if begin > (now + _CLOCK_SKEW).timestamp():
        raise TokenError("the token is not valid yet")
    found = _SUBJECT.fullmatch(str(claims["sub"]))
    if found is None:
        raise TokenError("the subject of the token is not system:serviceaccount:NAMESPACE:SERVICE_ACCOUNT")
    try:
        expires = datetime.fromtimestamp(end, now.tzinfo)
    except (ValueError, OverflowError, OSError):
        raise TokenError("the token has no usable time of expiry") from None
    return VerifiedToken(found[1], found[2], issuer, expires, claims)
