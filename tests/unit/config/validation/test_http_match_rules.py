"""The rules of the matches of VirtualService's HTTP routes: a row for each, with what breaks it and a twin
that does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.config.validation.virtual_service_yaml import H, M, match, route

Expect = Callable[..., None]

MATCHES = [
    (
        match("uri: {regex: ''}"),
        match("uri: {prefix: ''}"),
        M + ".uri.regex",
        "the regular expression is empty",
    ),
    (match("uri: {regex: '/('}"), match("uri: {regex: '/(a)'}"), M + ".uri.regex", "missing )"),
    (
        match("uri: {regex: " + "a" * 1025 + "}"),
        match("uri: {regex: " + "a" * 1024 + "}"),
        M + ".uri.regex",
        "has 1025 bytes; at most 1024",
    ),
    (
        match("scheme: {prefix: ''}"),
        match("scheme: {exact: ''}"),
        M + ".scheme.prefix",
        "the prefix is empty",
    ),
    (match("method: {regex: '+'}"), match("method: {regex: 'G+'}"), M + ".method.regex", "RE2"),
    (
        match("authority: {prefix: ''}"),
        match("authority: {prefix: a}"),
        M + ".authority.prefix",
        "prefix is empty",
    ),
    (
        match("headers: {x: {prefix: ''}}"),
        match("headers: {x: {}}"),
        M + ".headers.x.prefix",
        "prefix is empty",
    ),
    (
        match("headers: {x: {regex: '*'}}"),
        match("withoutHeaders: {x: {regex: '*'}}"),
        M + ".headers.x.regex",
        "RE2",
    ),
    (
        match("withoutHeaders: {x: {regex: '('}}"),
        match("withoutHeaders: {x: {regex: '()'}}"),
        M + ".withoutHeaders.x.regex",
        "RE2",
    ),
    (
        match("headers: {'a b': {}}"),
        match("headers: {':path': {}}"),
        M + ".headers.a b",
        "is not a header's name",
    ),
    (match("headers: {'': {}}"), match("headers: {a: {}}"), M + ".headers[]", "the header's name is empty"),
    (
        match("queryParams: {q: {regex: '('}}"),
        match("queryParams: {q: {exact: ''}}"),
        M + ".queryParams.q.regex",
        "RE2",
    ),
    (match("queryParams: {'': {}}"), match("queryParams: {a: {}}"), M + ".queryParams[]", "name is empty"),
    (
        match("queryParams: {? " + "a" * 1025 + " : {}}"),
        match("queryParams: {? " + "a" * 1024 + " : {}}"),
        M + ".queryParams." + "a" * 1025,
        "at most 1024 bytes",
    ),
    (
        route("headers: {request: {set: {x: " + "a" * 16385 + "}}}"),
        route("headers: {request: {set: {x: " + "a" * 16384 + "}}}"),
        H + ".headers.request.set.x",
        "the value is too long",
    ),
    (match("port: 65536"), match("port: 80"), M + ".port", "65536 is not a port number"),
    (
        match("sourceLabels: {a/b/c: d}"),
        match("sourceLabels: {a.b/c: d}"),
        M + ".sourceLabels[a/b/c]",
        "label's key",
    ),
    (match("gateways: ['']"), match("gateways: [mesh]"), M + ".gateways[0]", "the host is empty"),
    (
        match("sourceNamespace: a.b"),
        match("sourceNamespace: a"),
        M + ".sourceNamespace",
        '"a.b" is not a valid namespace',
    ),
    (
        match("headers: {'@request.auth.claims.sub': {exact: a}}"),
        match("headers: {x: {exact: a}}").replace("hosts:", "gateways: [g], hosts:"),
        M + ".headers[@request.auth.claims.sub]",
        "on gateways only",
    ),
    (
        match("withoutHeaders: {'@request.auth.claims[sub]': {exact: a}}"),
        match("headers: {'@request.auth.claims[sub]': {exact: a}}").replace(
            "hosts:", "gateways: [g], hosts:"
        ),
        M + ".withoutHeaders[@request.auth.claims[sub]]",
        "on gateways only",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), MATCHES)
def test_matches(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("VirtualService", bad, good, path, words)
