"""JSON Web Tokens as Envoy reads them: their content, and whether a key of a key set signed them.

Source: RFC 7519, and Envoy's library of tokens (jwt_verify_lib)
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from mizzen.simulate.verdict import Failure

ISSUER: Final = "issuer of the token"
"""The condition that fails if the token has a different issuer."""
_KEY_TYPES: Final[dict[str, tuple[str, str]]] = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    **{f"{kind}{bits}": ("RSA", "") for kind in ("RS", "PS") for bits in (256, 384, 512)},
    **{f"HS{bits}": ("oct", "") for bits in (256, 384, 512)},
}
"""The algorithms that Envoy accepts, with the type of their keys, and the curve if there is only one."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a token is refused: the condition that fails, the wanted and the found value."""

    condition: str
    wanted: str
    found: str
    failure: Failure = Failure.INVALID_TOKEN

    @property
    def is_of_another(self) -> bool:
        """True if it only says that there is no token of the issuer that was asked."""
        return self.condition == ISSUER or self.failure is Failure.NO_TOKEN


@dataclass(frozen=True, slots=True)
class Token:
    """A token. `signed` are the bytes that the signature covers; if empty, the token
    counts as signed by its issuer."""

    claims: Mapping[str, Any]
    header: Mapping[str, Any]
    payload: str
    """The claims as they are sent, in base64url."""
    signed: bytes = b""
    signature: bytes = b""

    @property
    def issuer(self) -> str:
        """The claim `iss`; empty if there is none."""
        found = self.claims.get("iss", "")
        return found if isinstance(found, str) else ""

    @property
    def audiences(self) -> tuple[str, ...]:
        """The claim `aud`, which may be a single text."""
        found = self.claims.get("aud")
        if isinstance(found, str):
            return (found,)
        return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def read_token(text: str) -> Token | Refusal:
    """Read a token."""
    parts = text.split(".")
    no_token = Refusal("token", "a JSON Web Token", "something else")
    if len(parts) != 3:
        return no_token
    try:
        header, claims = (json.loads(_decoded(part)) for part in parts[:2])
        signature = _decoded(parts[2])
    except (ValueError, RecursionError):
        return no_token
    if not (isinstance(header, dict) and isinstance(claims, dict)):
        return no_token
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in _KEY_TYPES:
        return Refusal("token's algorithm", "one of " + ", ".join(sorted(_KEY_TYPES)), str(algorithm))
    return Token(claims, header, parts[1], f"{parts[0]}.{parts[1]}".encode(), signature)


def vouched_token(claims: Mapping[str, Any]) -> Token:
    """Return a token with these claims that counts as signed by its issuer."""
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return Token(claims, {}, base64.urlsafe_b64encode(payload).rstrip(b"=").decode())


def time_refusal(token: Token, moment: float, skew: int) -> Refusal | None:
    """Return a refusal if a token is not valid at a moment; clocks may differ by `skew` seconds."""
    begins, ends = token.claims.get("nbf"), token.claims.get("exp")
    now = _time(moment)
    if isinstance(begins, int | float) and moment + skew < begins:
        return Refusal("nbf of the token", f"at most {now}", _time(begins))
    if isinstance(ends, int | float) and ends and moment > ends + skew:
        return Refusal("exp of the token", f"at least {now}", _time(ends))
    return None


def audience_refusal(token: Token, audiences: Sequence[str]) -> Refusal | None:
    """Return a refusal if a token is for none of the audiences; an empty list accepts all. The URL scheme and
    a slash at the end are ignored."""
    known = {_bare(audience) for audience in audiences}
    if not known or known & {_bare(audience) for audience in token.audiences}:
        return None
    wanted, found = " or ".join(audiences), ", ".join(token.audiences) or "none"
    return Refusal("audience of the token", wanted, found, Failure.OTHER_AUDIENCE)


def signature_refusal(token: Token, keys: Iterable[Mapping[str, Any]]) -> Refusal | None:
    """Return a refusal if none of the keys of a JSON Web Key Set signed the token."""
    if not token.signed:
        return None
    # Imported here: most calls have no token, and it takes as long as all other imports of a command.
    import jwt

    algorithm = str(token.header["alg"])
    made = jwt.get_algorithm_by_name(algorithm)
    fitting = [key for key in keys if _fits(key, token.header)]
    for key in fitting:
        try:
            if made.verify(token.signed, made.from_jwk(dict(key)), token.signature):
                return None
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
    name = f"{algorithm}, kid {token.header['kid']}" if "kid" in token.header else algorithm
    if fitting:
        return Refusal("signature of the token", "one by the issuer's key", f"another ({name})")
    return Refusal("key of the token", "one of the issuer's keys", f"another ({name})")


def _fits(key: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    kind, curve = _KEY_TYPES[header["alg"]]
    kid = header.get("kid")
    return (
        key.get("kty") == kind
        and (not curve or key.get("crv") == curve)
        and key.get("alg", header["alg"]) == header["alg"]
        and (not kid or key.get("kid", kid) == kid)
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _bare(audience: str) -> str:
    return audience.removeprefix("https://").removeprefix("http://").removesuffix("/")


def _time(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{moment:g}"
