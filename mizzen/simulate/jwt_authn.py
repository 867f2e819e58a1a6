"""The filter that verifies JSON Web Tokens.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/jwt_authn_filter
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mizzen.simulate.condition import RequestTest, UndecidedError, UnknownSettingError
from mizzen.simulate.cors import is_preflight
from mizzen.simulate.json_web_token import (
    ISSUER,
    Refusal,
    read_token,
    vouched_token,
)
from mizzen.simulate.jwt_provider import Provider
from mizzen.simulate.metadata_match import JWT_FILTER
from mizzen.simulate.request import Request
from mizzen.simulate.route_match import route_conditions
from mizzen.simulate.token_locations import Location, in_order
from mizzen.simulate.verdict import Decision, Failure, PolicyStep, RunnerUp

_MISSING: Final = Refusal("token", "present", "none", Failure.NO_TOKEN)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Where tokens are looked for, each location with its issuers, and what is required of the tokens found.

    They are verified by `required`, or if that is None, each by the provider of its issuer.
    """

    locations: tuple[tuple[Location, frozenset[str]], ...]
    required: Provider | None = None
    audiences: tuple[str, ...] = ()
    allow_missing: bool = False
    allow_failed: bool = False


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
        """Return whether the tokens of a request fulfil the requirements, and apply the valid ones to it."""
        for provider in self._providers.values():
            for name in provider.set_headers:
                request.remove_header(name)
        verify = next((verify for matches, verify in self._rules if matches(request)), None)
        if verify is None or (self._bypasses_preflights and is_preflight(request)):
            return None
        check = _Check(request, self._providers)
        try:
            refusal = verify(check)
        except UndecidedError:
            return PolicyStep(self.name, "JWT", Decision.UNKNOWN)
        named = check.provider.name if check.provider is not None else ""
        if refusal is None:
            if check.noted:
                request.note(JWT_FILTER, check.noted)
            return PolicyStep(self.name, "JWT", Decision.ALLOWED, named)
        lost = RunnerUp(named, refusal.condition, refusal.wanted, refusal.found) if explain else None
        return PolicyStep(self.name, "JWT", Decision.DENIED, named, refusal.failure, lost=lost)

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
        """Compile a JwtRequirement; `beside` are the providers of the list that contains it."""
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
        wanted = _Tokens(_locations_of(beside), allow_missing=True, allow_failed=failed)
        return lambda check: check.tokens(wanted)

    def _provider(self, message: Any, kind: str, *, allow_missing: bool = False) -> _Verify:
        provider = self._provider_of(message, kind)
        by_audience = kind == "provider_and_audiences"
        audiences = tuple(message.provider_and_audiences.audiences) if by_audience else ()
        wanted = _Tokens(_locations_of((provider,)), provider, audiences, allow_missing)
        return lambda check: check.tokens(wanted)

    def _any(self, requirements: Iterable[Any]) -> _Verify:
        """One of these must be fulfilled. Of those that allow missing tokens one is used, as the last; beside
        a single provider it is checked together with that."""
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

    def tokens(self, wanted: _Tokens) -> Refusal | None:
        """Return why a token is refused; None if all are valid. An invalid token is
        refused even where tokens may be missing."""
        found = self._found(wanted.locations)
        refused: Refusal | None = _MISSING
        while found:
            refused = self._refusal(*found.pop(), wanted)
            if refused is not None and not wanted.allow_failed:
                return refused
        if wanted.allow_failed or (wanted.allow_missing and refused is _MISSING):
            return None
        return refused

    def _found(
        self, locations: Sequence[tuple[Location, frozenset[str]]]
    ) -> list[tuple[str | None, Location, frozenset[str]]]:
        """Return the tokens (None: the one made from the call's claims), their
        locations, and the issuers of each."""
        found: list[tuple[str | None, Location, frozenset[str]]] = [
            (text, location, issuers)
            for location, issuers in locations
            for text in location.texts(self.request)
        ]
        claims = self.request.claims
        if claims is not None:
            own = (each for each in self._providers.values() if each.issuer in ("", claims.get("iss")))
            home = next(own, next(iter(self._providers.values()))).locations[0]
            found.extend((None, location, issuers) for location, issuers in locations if location == home)
        return found

    def _refusal(
        self, text: str | None, location: Location, issuers: frozenset[str], wanted: _Tokens
    ) -> Refusal | None:
        """Verify one token, and apply it to the request if it is valid."""
        self.provider = wanted.required or self.provider
        token = read_token(text) if text is not None else vouched_token(self.request.claims or {})
        if isinstance(token, Refusal):
            return token
        provider = wanted.required or self._of_issuer(token.issuer)
        if provider is None or not ("" in issuers or token.issuer in issuers):
            return Refusal(ISSUER, " or ".join(sorted(issuers)), token.issuer or "none")
        self.provider = provider
        refused = provider.refusal(token, self.request.connection.call.moment, wanted.audiences)
        if refused is None:
            self.noted.update(provider.accept(token, self.request))
            self.request.reroutes = self.request.reroutes or provider.clears_route
            if not provider.forwards:
                self._take_out(text, location)
        return refused

    def _take_out(self, text: str | None, location: Location) -> None:
        if text is None:
            self.request.claims = None
        else:
            location.remove(self.request)

    def _of_issuer(self, issuer: str) -> Provider | None:
        every = self._providers.values()
        named = next((each for each in every if each.issuer == issuer), None)
        return named or next((each for each in every if not each.issuer), None)


def _locations_of(providers: Iterable[Provider]) -> tuple[tuple[Location, frozenset[str]], ...]:
    """Return where these providers look for tokens, in Envoy's order, each location with its issuers."""
    issuers: dict[Location, set[str]] = {}
    for provider in providers:
        for location in provider.locations:
            issuers.setdefault(location, set()).add(provider.issuer)
    return tuple((location, frozenset(issuers[location])) for location in in_order(issuers))
