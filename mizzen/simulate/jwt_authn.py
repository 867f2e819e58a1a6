"""The filter that checks JSON Web Tokens.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/jwt_authn_filter
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from mizzen.simulate.condition import RequestTest, UndecidedError, UnknownSettingError
from mizzen.simulate.cors import is_preflight
from mizzen.simulate.json_web_token import (
    ISSUER,
    Refusal,
    Token,
    audience_refusal,
    read_token,
    signature_refusal,
    time_refusal,
    vouched_token,
)
from mizzen.simulate.metadata_match import JWT_FILTER
from mizzen.simulate.request import Request
from mizzen.simulate.route_match import route_conditions
from mizzen.simulate.token_locations import Location, in_order, locations
from mizzen.simulate.verdict import Decision, Failure, PolicyStep, RunnerUp

_CLOCK_SKEW: Final = 60
_UNKNOWN_FIELDS: Final = ("subjects", "max_lifetime")
_MISSING: Final = Refusal("token", "present", "none", Failure.NO_TOKEN)


class Provider:
    """A compiled JwtProvider: one issuer, its keys, and where its tokens stand."""

    __slots__ = ("_keys", "_message", "_skew", "_space_delimited", "audiences", "issuer", "locations", "name")

    def __init__(self, name: str, message: Any) -> None:
        unknown = next((field for field in _UNKNOWN_FIELDS if message.HasField(field)), None)
        if unknown is not None or message.require_expiration:
            raise UnknownSettingError(unknown or "require_expiration")
        self.name = name
        self.issuer = str(message.issuer)
        self.audiences = tuple(map(str, message.audiences))
        self.locations = locations(message)
        self._message = message
        self._skew = message.clock_skew_seconds or _CLOCK_SKEW
        self._keys = _keys(message.local_jwks)
        normalize = message.normalize_payload_in_metadata
        self._space_delimited = frozenset(map(str, normalize.space_delimited_claims))

    @property
    def clears_route(self) -> bool:
        """Whether a request with a valid token is routed anew."""
        return bool(self._message.clear_route_cache)

    def refusal(self, token: Token, moment: float | None, audiences: Sequence[str]) -> Refusal | None:
        """Return why a token of this provider is refused, None if it is valid. Raises UndecidedError."""
        refused = time_refusal(token, moment, self._skew) if moment is not None else None
        refused = refused or audience_refusal(token, audiences or self.audiences)
        if refused is not None:
            return refused
        if self._keys is None:
            raise UndecidedError("the keys of the issuer are not known")
        return signature_refusal(token, self._keys)

    def sanitize(self, request: Request) -> None:
        """Take out of a request the headers that only a valid token may set."""
        for name in (self._message.forward_payload_header, *self._claim_headers().values()):
            if name:
                request.remove_header(name)

    def accept(self, token: Token, request: Request) -> dict[str, Any]:
        """Set the headers that a valid token sets. Return what goes into the metadata."""
        message = self._message
        if message.forward_payload_header:
            padding = "=" * (-len(token.payload) % 4) if message.pad_forward_payload_header else ""
            request.add_header(message.forward_payload_header, token.payload + padding)
        for claim, header in self._claim_headers().items():
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
        """Whether the token is sent on."""
        return bool(self._message.forward)

    def _claim_headers(self) -> dict[str, str]:
        return {str(each.claim_name): str(each.header_name) for each in self._message.claim_to_headers}


_Verify = Callable[["_Check"], Refusal | None]


class JwtAuthentication:
    """A compiled filter. Raises UnknownSettingError for settings that the simulator does not know."""

    __slots__ = ("_bypasses_preflights", "_providers", "_rules", "name")

    def __init__(self, name: str, message: Any) -> None:
        if message.HasField("filter_state_rules"):
            raise UnknownSettingError("filter_state_rules")
        self.name = name
        self._bypasses_preflights = message.bypass_cors_preflight
        self._providers = {key: Provider(key, message.providers[key]) for key in sorted(message.providers)}
        self._rules = [self._rule(rule, message.requirement_map) for rule in message.rules]

    def judge(self, request: Request, *, explain: bool) -> PolicyStep | None:
        """Return whether the tokens of a request are as required, and take up what is in them."""
        verify = next((verify for matches, verify in self._rules if matches(request)), None)
        if verify is None or (self._bypasses_preflights and is_preflight(request)):
            return None
        check = _Check(request, self._providers)
        try:
            refusal = verify(check)
        except UndecidedError:
            return PolicyStep(self.name, "JWT", Decision.UNKNOWN)
        provider = check.provider.name if check.provider is not None else ""
        if refusal is None:
            if check.noted:
                request.note(JWT_FILTER, check.noted)
            return PolicyStep(self.name, "JWT", Decision.ALLOWED, provider)
        lost = RunnerUp(provider, refusal.condition, refusal.wanted, refusal.found) if explain else None
        return PolicyStep(self.name, "JWT", Decision.DENIED, provider, refusal.failure, lost=lost)

    def _rule(self, rule: Any, named: Any) -> tuple[RequestTest, _Verify | None]:
        conditions = route_conditions(rule.match)
        kind = rule.WhichOneof("requirement_type")
        requirement = None
        if kind is not None:
            requirement = rule.requires if kind == "requires" else named[rule.requirement_name]
        return (
            lambda request: all(condition.holds(request) for condition in conditions),
            self._requirement(requirement) if requirement is not None else None,
        )

    def _requirement(self, message: Any, beside: Sequence[Provider] = ()) -> _Verify:
        """Compile a JwtRequirement; `beside` are the providers of the list that it stands in."""
        kind = message.WhichOneof("requires_type")
        if kind in ("provider_name", "provider_and_audiences"):
            return self._provider(message, kind)
        if kind == "requires_any":
            return self._any(message.requires_any.requirements)
        if kind == "requires_all":
            every = [self._requirement(each) for each in message.requires_all.requirements]
            return lambda check: next((no for verify in every if (no := verify(check)) is not None), None)
        if kind is None:
            return lambda check: None
        failed = kind == "allow_missing_or_failed"
        return lambda check: check.tokens(beside, allow_missing=True, allow_failed=failed)

    def _provider(self, message: Any, kind: str, *, allow_missing: bool = False) -> _Verify:
        provider = self._provider_of(message, kind)
        by_audience = kind == "provider_and_audiences"
        audiences = tuple(message.provider_and_audiences.audiences) if by_audience else ()
        return lambda check: check.tokens((provider,), provider, audiences, allow_missing=allow_missing)

    def _any(self, requirements: Iterable[Any]) -> _Verify:
        """One of these must be fulfilled. The one that allows no token comes last, and there is one such;
        beside a single provider it is checked together with that."""
        kinds = [(each, str(each.WhichOneof("requires_type") or "")) for each in requirements]
        lenient = [(each, kind) for each, kind in kinds if kind.startswith("allow_missing")]
        strict = [(each, kind) for each, kind in kinds if not kind.startswith("allow_missing")]
        named = [(each, kind) for each, kind in strict if kind.startswith("provider")]
        if len(strict) == len(named) == 1 and {kind for _, kind in lenient} == {"allow_missing"}:
            return self._provider(*named[0], allow_missing=True)
        verifies = [self._requirement(each) for each, _ in strict]
        if lenient:
            failed = (each for each, kind in lenient if kind == "allow_missing_or_failed")
            used = [self._provider_of(each, kind) for each, kind in named]
            verifies.append(self._requirement(next(failed, lenient[0][0]), used))

        def verify(check: _Check) -> Refusal | None:
            told: Refusal | None = None
            for each in verifies:
                refused = each(check)
                if refused is None:
                    return None
                if told is None or not refused.is_of_another:
                    told = refused
            return told

        return verify

    def _provider_of(self, message: Any, kind: str) -> Provider:
        named = message.provider_and_audiences if kind == "provider_and_audiences" else message
        return self._providers[named.provider_name]


class _Check:
    """The tokens of one request. `provider` is the one that was asked last about a token."""

    def __init__(self, request: Request, providers: Mapping[str, Provider]) -> None:
        self.request = request
        self.provider: Provider | None = None
        self.noted: dict[str, Any] = {}
        self._providers = providers
        for provider in providers.values():
            provider.sanitize(request)

    def tokens(
        self,
        providers: Sequence[Provider],
        required: Provider | None = None,
        audiences: Sequence[str] = (),
        *,
        allow_missing: bool = False,
        allow_failed: bool = False,
    ) -> Refusal | None:
        """Check all tokens that stand where these providers look for theirs; return why one is refused.

        They are checked by `required`, else each by the provider of its issuer. One that is not valid is
        refused even where tokens may be missing.
        """
        found = self._found(providers)
        refused: Refusal | None = _MISSING
        while found:
            text, location, issuers = found.pop()
            refused = self._refusal(text, location, issuers, required, audiences)
            if refused is not None and not allow_failed:
                return refused
        if allow_failed or (allow_missing and refused is _MISSING):
            return None
        return refused

    def _found(self, providers: Iterable[Provider]) -> list[tuple[str | None, Location, set[str]]]:
        """Return the tokens (None: the one that is vouched for), their places, and the issuers of each."""
        issuers: dict[Location, set[str]] = {}
        for provider in providers:
            for location in provider.locations:
                issuers.setdefault(location, set()).add(provider.issuer)
        found: list[tuple[str | None, Location, set[str]]] = [
            (text, location, issuers[location])
            for location in in_order(issuers)
            for text in location.texts(self.request)
        ]
        claims = self.request.claims
        if claims is not None:
            own = (each for each in self._providers.values() if each.issuer in ("", claims.get("iss")))
            home = next(own, next(iter(self._providers.values()))).locations[0]
            if home in issuers:
                found.append((None, home, issuers[home]))
        return found

    def _refusal(
        self,
        text: str | None,
        location: Location,
        issuers: set[str],
        required: Provider | None,
        audiences: Sequence[str],
    ) -> Refusal | None:
        """Check one token, and take it up if it is valid."""
        self.provider = required or self.provider
        token = read_token(text) if text is not None else vouched_token(self.request.claims or {})
        if isinstance(token, Refusal):
            return token
        provider = required or self._of_issuer(token.issuer)
        if provider is None or not ("" in issuers or token.issuer in issuers):
            return Refusal(ISSUER, " or ".join(sorted(issuers)), token.issuer or "none")
        self.provider = provider
        refused = provider.refusal(token, self.request.connection.call.moment, audiences)
        if refused is None:
            self.noted.update(provider.accept(token, self.request))
            self.request.reroutes = self.request.reroutes or provider.clears_route
            if not provider.forwards:
                if text is None:
                    self.request.claims = None
                else:
                    location.remove(self.request)
        return refused

    def _of_issuer(self, issuer: str) -> Provider | None:
        every = self._providers.values()
        named = next((each for each in every if each.issuer == issuer), None)
        return named or next((each for each in every if not each.issuer), None)


def _keys(source: Any) -> tuple[Mapping[str, Any], ...] | None:
    """Return the keys of a key set; None if they stand elsewhere, none if the text is no key set."""
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
