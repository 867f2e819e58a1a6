"""Rules of AuthorizationPolicy that are allowed, and do not do what they seem to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic

Validate = Callable[..., list[Diagnostic]]
FROM = "{{rules: [{{from: [{{source: {source}}}]}}]}}"
WHEN = "{{rules: [{{when: [{condition}]}}]}}"
SOURCE = "spec.rules[0].from[0].source"
NAME = "cluster.local/ns/shop/sa/web"


@pytest.mark.parametrize(
    ("policy", "path", "words"),
    [
        (
            FROM.format(source=f"{{principals: [{NAME}, 'spiffe://{NAME}']}}"),
            f"{SOURCE}.principals[1]",
            f'no client matches it; write "{NAME}"',
        ),
        (
            FROM.format(source=f"{{notPrincipals: ['spiffe://{NAME}']}}"),
            f"{SOURCE}.notPrincipals[0]",
            f'it excludes no client; write "{NAME}"',
        ),
        (
            FROM.format(source="{principals: ['spiffe://*']}"),
            f"{SOURCE}.principals[0]",
            'no client matches it; write "*"',
        ),
        (
            WHEN.format(condition=f"{{key: source.principal, values: ['spiffe://{NAME}']}}"),
            "spec.rules[0].when[0].values[0]",
            f'no client matches it; write "{NAME}"',
        ),
        (
            WHEN.format(condition=f"{{key: source.principal, notValues: ['spiffe://{NAME}']}}"),
            "spec.rules[0].when[0].notValues[0]",
            f'it excludes no client; write "{NAME}"',
        ),
    ],
)
def test_principals_have_no_scheme(validate: Validate, policy: str, path: str, words: str) -> None:
    [found] = validate("AuthorizationPolicy", policy)
    assert (found.severity.value, found.code, found.path) == ("warning", "IST0133", path)
    assert found.message == f"principals are written without spiffe://, so {words}"


@pytest.mark.parametrize(
    "policy",
    [
        FROM.format(source=f"{{principals: [{NAME}, '*/sa/web', '*']}}"),
        FROM.format(source="{requestPrincipals: ['spiffe://issuer/subject']}"),
        WHEN.format(condition="{key: 'request.headers[x-id]', values: ['spiffe://a']}"),
    ],
)
def test_other_values_may_have_one(validate: Validate, policy: str) -> None:
    assert validate("AuthorizationPolicy", policy) == []


TO = "{{rules: [{{to: [{{operation: {operation}}}]}}]}}"
OPERATION = "spec.rules[0].to[0].operation"


@pytest.mark.parametrize(
    ("operation", "path", "message"),
    [
        (
            "{methods: [GET, get]}",
            f"{OPERATION}.methods[1]",
            'requests have their method in capitals, so no request matches it; write "GET"',
        ),
        (
            "{notMethods: [Post]}",
            f"{OPERATION}.notMethods[0]",
            'requests have their method in capitals, so it excludes no request; write "POST"',
        ),
        (
            "{paths: [/a, a]}",
            f"{OPERATION}.paths[1]",
            'paths of requests begin with a slash, so no request matches it; write "/a"',
        ),
        (
            "{notPaths: ['admin/*']}",
            f"{OPERATION}.notPaths[0]",
            'paths of requests begin with a slash, so it excludes no request; write "/admin/*"',
        ),
    ],
)
def test_values_that_no_request_has_are_told(
    validate: Validate, operation: str, path: str, message: str
) -> None:
    [found] = validate("AuthorizationPolicy", TO.format(operation=operation))
    assert (found.severity.value, found.code, found.path) == ("warning", "IST0133", path)
    assert found.message == message


@pytest.mark.parametrize(
    "operation",
    [
        "{methods: [GET, '*', 'P*', '*T', PROPFIND, M-SEARCH, custom]}",
        "{notMethods: [DELETE, custom]}",
        "{paths: [/, /a, '/a*', '*', '*/a', '*.html', '/{*}/a', '/a/{**}']}",
        "{notPaths: [/a, '*a']}",
        "{hosts: [a.example, '*']}",
    ],
)
def test_values_that_requests_have_are_silent(validate: Validate, operation: str) -> None:
    assert validate("AuthorizationPolicy", TO.format(operation=operation)) == []


def test_rules_that_deny_all_of_tcp_are_told_once(validate: Validate) -> None:
    rules = "{to: [{operation: {methods: [GET]}}]}, {to: [{operation: {ports: ['80']}}]}, " + (
        "{to: [{operation: {paths: [/a]}}]}, {to: [{operation: {hosts: [a]}}]}"
    )
    [found] = validate("AuthorizationPolicy", f"{{action: DENY, rules: [{rules}]}}")
    assert (found.code, found.path) == ("IST0133", "spec.rules[0]")
    assert "(rules[2], rules[3] too)" in found.message
    [found] = validate(
        "AuthorizationPolicy", "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}"
    )
    assert "too)" not in found.message
