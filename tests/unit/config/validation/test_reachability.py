"""Routes and matches that no request reaches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from mizzen.config.diagnostics import Diagnostic

Validate = Callable[..., list[Diagnostic]]

TO_A = {"route": [{"destination": {"host": "a.com"}}]}


def service(kind: str, *matches: str) -> str:
    """A VirtualService with one route for each text; a text holds the matches of a route, or nothing."""
    routes = [{**yaml.safe_load(f"{{match: [{text}]}}" if text else "{}"), **TO_A} for text in matches]
    return yaml.safe_dump({"hosts": ["a.com"], "gateways": ["g", "mesh"], kind: routes})


def found(validate: Validate, spec: str) -> list[tuple[str, str]]:
    diagnostics = validate("VirtualService", spec)
    assert {it.severity.value for it in diagnostics} <= {"warning"}
    return [(it.code, it.path.removeprefix("spec.")) for it in diagnostics]


@pytest.mark.parametrize(
    ("matches", "expected"),
    [
        (("", ""), [("IST0130", "http[1]")]),
        (("", "{port: 80}"), [("IST0130", "http[1]")]),
        (("{port: 80}", ""), []),
        (("", "", "{port: 80}"), [("IST0130", "http[1]"), ("IST0130", "http[2]")]),
        (("{port: 80}", "{port: 80}"), [("IST0131", "http[1].match[0]"), ("IST0130", "http[1]")]),
        (("{port: 80}", "{port: 80}, {port: 81}"), [("IST0131", "http[1].match[0]")]),
        (("{port: 80, name: a}", "{port: 80, name: b}, {port: 81}"), [("IST0131", "http[1].match[0]")]),
        (("{port: 80}, {port: 80}",), [("IST0131", "http[0].match[1]")]),
        (
            ("{headers: {a: {}, b: {}}}", "{headers: {b: {}, a: {}}}"),
            [("IST0131", "http[1].match[0]"), ("IST0130", "http[1]")],
        ),
        (("{port: 80}", "{port: 81}"), []),
    ],
)
def test_routes_after_one_that_takes_all(
    validate: Validate, matches: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    assert found(validate, service("http", *matches)) == expected


def test_tls_and_tcp_routes(validate: Validate) -> None:
    assert found(validate, service("tls", "{sniHosts: [a.com]}", "{sniHosts: [a.com]}")) == [
        ("IST0131", "tls[1].match[0]"),
        ("IST0130", "tls[1]"),
    ]
    assert found(validate, service("tcp", "", "{port: 80}")) == [("IST0130", "tcp[1]")]


COVERED = [
    ("{uri: {prefix: /a}}", "{uri: {prefix: /a/b}}"),
    ("{uri: {prefix: /a}}", "{uri: {prefix: /ab}, method: {exact: GET}, port: 80}"),
    ("{uri: {prefix: /a}, method: {exact: GET}}", "{uri: {prefix: /ab}, method: {exact: GET}}"),
    ("{uri: {prefix: /a}, authority: {prefix: a}}", "{uri: {prefix: /ab}, authority: {exact: a.com}}"),
    ("{uri: {prefix: /a}, authority: {prefix: a}}", "{uri: {prefix: /ab}, authority: {prefix: ab}}"),
    ("{uri: {prefix: /a}, headers: {x: {}}}", "{uri: {prefix: /ab}, headers: {x: {exact: a}, y: {}}}"),
    ("{uri: {prefix: /a}, port: 80}", "{uri: {prefix: /ab}, port: 80}"),
    ("{uri: {prefix: /a}, sourceLabels: {a: b}}", "{uri: {prefix: /ab}, sourceLabels: {a: b, c: d}}"),
    (
        "{uri: {prefix: /a}, queryParams: {q: {prefix: a}}}",
        "{uri: {prefix: /ab}, queryParams: {q: {exact: ab}}}",
    ),
    ("{uri: {prefix: /a}, withoutHeaders: {x: {}}}", "{uri: {prefix: /ab}, withoutHeaders: {x: {}}}"),
    ("{uri: {prefix: /a}, ignoreUriCase: true}", "{uri: {prefix: /ab}, ignoreUriCase: true}"),
    ("{uri: {prefix: /a}}", "{uri: {prefix: /ab}, gateways: [g], sourceNamespace: n}"),
]
NOT_COVERED = [
    ("{uri: {prefix: /a/b}}", "{uri: {prefix: /a}}"),
    ("{uri: {prefix: /a}, port: 80}", "{uri: {prefix: /ab}, port: 81}"),
    ("{uri: {prefix: /a}, port: 80}", "{uri: {prefix: /ab}}"),
    ("{uri: {prefix: /a}, method: {exact: GET}}", "{uri: {prefix: /ab}}"),
    ("{uri: {prefix: /a}, method: {exact: GET}}", "{uri: {prefix: /ab}, method: {exact: POST}}"),
    ("{uri: {prefix: /a}, authority: {exact: a.com}}", "{uri: {prefix: /ab}, authority: {prefix: a}}"),
    ("{uri: {prefix: /a}, headers: {x: {}}}", "{uri: {prefix: /ab}, headers: {y: {}}}"),
    ("{uri: {prefix: /a}, headers: {x: {exact: a}}}", "{uri: {prefix: /ab}, headers: {x: {}}}"),
    ("{uri: {prefix: /a}, headers: {x: {regex: a}}}", "{uri: {prefix: /ab}, headers: {x: {regex: b}}}"),
    ("{uri: {prefix: /a}, sourceLabels: {a: b}}", "{uri: {prefix: /ab}}"),
    ("{uri: {prefix: /a}, withoutHeaders: {x: {}}}", "{uri: {prefix: /ab}}"),
    ("{uri: {prefix: /a}, gateways: [g]}", "{uri: {prefix: /ab}}"),
    ("{uri: {prefix: /a}, sourceNamespace: n}", "{uri: {prefix: /ab}}"),
    ("{uri: {prefix: /A}, ignoreUriCase: true}", "{uri: {prefix: /AB}}"),
    ("{uri: {exact: /a}}", "{uri: {prefix: /a}}"),
    ("{uri: {regex: .*}}", "{uri: {prefix: /a}}"),
]


@pytest.mark.parametrize(("earlier", "later"), COVERED)
def test_a_prefix_that_an_earlier_one_covers(validate: Validate, earlier: str, later: str) -> None:
    assert found(validate, service("http", earlier, later)) == [("IST0131", "http[1].match[0]")]
    assert found(validate, service("http", f"{earlier}, {later}")) == [("IST0131", "http[0].match[1]")]


@pytest.mark.parametrize(("earlier", "later"), NOT_COVERED)
def test_a_prefix_that_is_reached(validate: Validate, earlier: str, later: str) -> None:
    assert found(validate, service("http", earlier, later)) == []


def test_the_covering_route_is_named(validate: Validate) -> None:
    spec = """
        {hosts: [a.com], http: [
          {name: all, match: [{uri: {prefix: /a}}], route: [{destination: {host: b}}]},
          {match: [{uri: {prefix: /a/b}}], route: [{destination: {host: b}}]}]}"""

    (diagnostic,) = validate("VirtualService", spec)

    assert diagnostic.message == (
        'this match has no effect: the prefix "/a" of route "all" takes all that starts with "/a/b"; '
        "move this match before it"
    )
