"""Rules of RequestAuthentication."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic

R = "spec.jwtRules[0]"


def rule(fields: str, issuer: str = "issuer: https://a.com, ") -> str:
    return f"{{jwtRules: [{{{issuer}{fields}}}]}}"


@pytest.mark.parametrize(
    ("bad", "path", "words"),
    [
        (rule("", issuer=""), R, "issuer and jwksUri are both missing"),
        (rule("jwksUri: 'https://a.com'", issuer="issuer: '', "), R + ".issuer", "empty"),
        (rule("audiences: [a, '']"), R + ".audiences[1]", "empty"),
        (rule("jwksUri: a.com"), R + ".jwksUri", "not a URI of http or https"),
        (rule("jwksUri: 'ftp://a.com'"), R + ".jwksUri", "not a URI of http or https"),
        (rule("jwksUri: 'file:///etc/passwd'"), R + ".jwksUri", "not a URI of http or https"),
        (rule("jwksUri: 'https://[a'"), R + ".jwksUri", "not a URI of http or https"),
        (rule("jwksUri: 'https://a.com:99999'"), R + ".jwksUri", "not a URI of http or https"),
        (rule("jwksUri: 'https:///keys'"), R + ".jwksUri", "not a URI of http or https"),
        (rule("jwksUri: ''"), R + ".jwksUri", "not a URI of http or https"),
        (rule("jwksUri: 'https://a.com', jwks: '{\"keys\": []}'"), R + ".jwksUri", "exclude each other"),
        (rule("jwks: a"), R + ".jwks", "not JSON"),
        (rule("jwks: '[]'"), R + ".jwks", "not an object"),
        (rule("jwks: '{\"keys\": 1}'"), R + ".jwks", "not a list"),
        (rule("jwks: '{\"keys\": [1]}'"), R + ".jwks", "keys[0] is not an object"),
        (rule("jwks: '{\"keys\": [{}]}'"), R + ".jwks", "keys[0] has no kty"),
        (rule('jwks: \'{"keys": [{"kty": "RSA", "n": "a"}]}\''), R + ".jwks", "has no e in base64url"),
        (rule('jwks: \'{"kty": "RSA", "n": "+", "e": "a"}\''), R + ".jwks", "the key has no n in base64url"),
        (rule("fromHeaders: [{prefix: a}]"), R + ".fromHeaders[0].name", "empty"),
        (rule('fromHeaders: [{name: "a\\nb"}]'), R + ".fromHeaders[0].name", "line break"),
        (rule('fromHeaders: [{name: a, prefix: "a\\nb"}]'), R + ".fromHeaders[0].prefix", "line break"),
        (rule("fromParams: ['']"), R + ".fromParams[0]", "empty"),
        (rule("fromCookies: ['']"), R + ".fromCookies[0]", "empty"),
        (rule('outputPayloadToHeader: "a\\nb"'), R + ".outputPayloadToHeader", "line break"),
        (rule("outputClaimToHeaders: [{claim: a}]"), R + ".outputClaimToHeaders[0].header", "empty"),
        (rule("outputClaimToHeaders: [{header: a}]"), R + ".outputClaimToHeaders[0].claim", "empty"),
        (
            rule("outputClaimToHeaders: [{header: 'a%b', claim: a}]"),
            R + ".outputClaimToHeaders[0].header",
            "not a header's name",
        ),
        (rule("timeout: 0s"), R + ".timeout", "too short"),
        (rule("spaceDelimitedClaims: ['']"), R + ".spaceDelimitedClaims[0]", "empty"),
        ("{selector: {matchLabels: {app: '*'}}}", "spec.selector.matchLabels.app", "wildcard"),
        ("{targetRef: {kind: Service, name: a, namespace: b}}", "spec.targetRef.namespace", "leave"),
    ],
)
def test_errors(validate: Callable[..., list[Diagnostic]], bad: str, path: str, words: str) -> None:
    errors = [it for it in validate("RequestAuthentication", bad) if it.severity.value == "error"]
    assert [(it.path, words in it.message) for it in errors] == [(path, True)]


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (rule("fromParams: [a]", issuer="issuer: a@b, "), R, "every token of this issuer is refused"),
        (rule("jwks: '{\"keys\": []}'"), R + ".jwks", "there is no list of keys"),
        (rule('jwks: \'{"keys": [{"kty": "oct", "k": "a"}]}\''), R + ".jwks", "private or symmetric"),
        (
            rule('jwks: \'{"keys": [{"kty": "RSA", "n": "a", "e": "b", "d": "c"}]}\''),
            R + ".jwks",
            "private or symmetric",
        ),
    ],
)
def test_warnings(validate: Callable[..., list[Diagnostic]], text: str, path: str, words: str) -> None:
    found = [it for it in validate("RequestAuthentication", text) if it.code != "MZ0001"]
    assert [(it.severity.value, it.path, words in it.message) for it in found] == [("warning", path, True)]


@pytest.mark.parametrize(
    "good",
    [
        "{}",
        "{selector: {matchLabels: {app: a}}}",
        rule("fromParams: [a]"),
        rule("jwksUri: 'http://[::1]:8080/keys?a=b'"),
        rule("jwksUri: 'https://a.com/keys'", issuer=""),
        rule('jwks: \'{"keys": [{"kty": "EC", "crv": "P-256", "x": "a", "y": "b"}]}\''),
        rule("fromHeaders: [{name: x-token, prefix: 'Bearer '}], timeout: 5s, fromCookies: [a]"),
    ],
)
def test_what_is_valid(validate: Callable[..., list[Diagnostic]], good: str) -> None:
    found = [it for it in validate("RequestAuthentication", good) if it.code != "MZ0001"]
    assert found == []


def test_no_word_of_a_key_set_is_in_what_is_said(validate: Callable[..., list[Diagnostic]]) -> None:
    text = rule('jwks: \'{"keys": [{"kty": "RSA", "n": "not+secret", "d": "hush-hush"}]}\'')
    said = " ".join(str(it) for it in validate("RequestAuthentication", text))
    assert "hush" not in said
    assert "not+secret" not in said
