"""A provider of the JWT filter: one issuer, its keys, the locations of its tokens, and the effects of a valid
one.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/jwt_authn/v3/config.proto
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mizzen.simulate.condition import UndecidedError, UnknownSettingError
from mizzen.simulate.json_web_token import (
    Refusal,
    Token,
    audience_refusal,
    signature_refusal,
    time_refusal,
)
from mizzen.simulate.request import Request
from mizzen.simulate.token_locations import locations

_CLOCK_SKEW: Final = 60
_UNKNOWN_FIELDS: Final = ("subjects", "max_lifetime")


class Provider:
    """A compiled JwtProvider. Raises UnknownSettingError for settings that the simulator does not know."""

    __slots__ = (
        "_claim_headers",
        "_keys",
        "_message",
        "_skew",
        "_space_delimited",
        "audiences",
        "issuer",
        "locations",
        "name",
        "set_headers",
    )

    def __init__(self, name: str, message: Any) -> None:
        unknown = next((field for field in _UNKNOWN_FIELDS if message.HasField(field)), None)
        if unknown is not None or message.require_expiration:
            raise UnknownSettingError(unknown or "require_expiration")
        self.name = name
        self.issuer = str(message.issuer)
        self.audiences = tuple(map(str, message.audiences))
        self.locations = locations(message)
        self._message = message
        headers = {str(each.claim_name): str(each.header_name) for each in message.claim_to_headers}
        self._claim_headers = headers
        payload_header = str(message.forward_payload_header)
        self.set_headers = (*([payload_header] if payload_header else ()), *headers.values())
        """The headers that only a valid token may set."""
        self._skew = message.clock_skew_seconds or _CLOCK_SKEW
        self._keys = _keys(message.local_jwks)
        normalize = message.normalize_payload_in_metadata
        self._space_delimited = frozenset(map(str, normalize.space_delimited_claims))

    @property
    def clears_route(self) -> bool:
        """True if a request with a valid token is routed again."""
        return bool(self._message.clear_route_cache)

    def refusal(self, token: Token, moment: float | None, audiences: Sequence[str]) -> Refusal | None:
        """Return why a token of this provider is refused; None if it is valid. Raises UndecidedError."""
        refused = time_refusal(token, moment, self._skew) if moment is not None else None
        refused = refused or audience_refusal(token, audiences or self.audiences)
        if refused is not None:
            return refused
        if self._keys is None:
            raise UndecidedError("the keys of the issuer are not known")
        return signature_refusal(token, self._keys)

    def accept(self, token: Token, request: Request) -> dict[str, Any]:
        """Set the headers that a valid token sets. Return what goes into the metadata."""
        message = self._message
        if message.forward_payload_header:
            padding = "=" * (-len(token.payload) % 4) if message.pad_forward_payload_header else ""
            request.add_header(message.forward_payload_header, token.payload + padding)
        for claim, header in self._claim_headers.items():
            text = _claim_text(token.claims, claim)
            if text:
                request.add_header(header, text)
        noted = {}
        if message.header_in_metadata:
            noted[message.header_in_metadata] = dict(token.header)
        if message.payload_in_metadata:
            noted[message.payload_in_metadata] = {
                name: value.split() if name in self._space_delimited and isinstance(value, str) else value
                for name, value in token.claims.items()
            }
        return noted

    @property
    def forwards(self) -> bool:
        """True if the token is forwarded."""
        return bool(self._message.forward)


def _keys(source: Any) -> tuple[Mapping[str, Any], ...] | None:
    """Return the keys of a key set; None if they are not inline, () if the text is not a key set."""
    kind = source.WhichOneof("specifier")
    if kind not in ("inline_string", "inline_bytes"):
        return None
    try:
        found = json.loads(getattr(source, kind))
    except ValueError:
        return ()
    keys = found.get("keys", [found]) if isinstance(found, dict) else []
    return tuple(key for key in keys if isinstance(key, dict))


def _claim_text(claims: Mapping[str, Any], name: str) -> str:
    """Return a claim as the value of a header; dots in its name lead into objects."""
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()
    if isinstance(value, float):
        return str(int(value)) if value >= 0 and value.is_integer() else f"{value:f}"
    return "" if value is None else str(value)
