"""Files with tests of a mesh: their mistakes are told by file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mizzen.mesh_tests import (
    read_mesh_tests,
)
from mizzen.mesh_tests.schema import json_schema

ROOT = Path(__file__).parents[3]
BAD = [
    ("", "a.mesh-test.yaml: has no tests; write them under `tests:`"),
    ("[]", "a.mesh-test.yaml:1: must be a mapping with `tests`; not a list"),
    ("tests: []", "a.mesh-test.yaml:1: tests is empty; write at least one, or remove the file"),
    ("tests: [\n", "a.mesh-test.yaml:1: "),
    (
        "tests:\n- name: a\n  form: b\n  expect: {closed: true}",
        "a.mesh-test.yaml:3: tests[0].form: unknown field; did you mean `from`?",
    ),
    (
        "{T}\n  expect: {status: 3}",
        "a.mesh-test.yaml:5: tests[0].expect.status: must be at least 100; not the integer 3",
    ),
    (
        "{T}\n  expect: {status: 300, closed: true}",
        "a.mesh-test.yaml:5: tests[0].expect: status and closed exclude each other; keep one of them",
    ),
    (
        "{T}\n  expect: {}",
        "a.mesh-test.yaml:5: tests[0].expect: must say how the call ends; add one of destination, route, "
        "redirect, status, denied, closed",
    ),
    (
        "{T}\n  expect: {status: 404, request: {uri: /}}",
        "a.mesh-test.yaml:5: tests[0].expect: request goes with destination or route: no request arrives "
        "otherwise",
    ),
    (
        "{T}\n  expect: {destination: {host: a}, request: {headers: {Host: back}}}",
        "a.mesh-test.yaml:5: tests[0].expect.request: headers has no Host here; write it as `authority`",
    ),
    (
        "{T}\n  expect: {denied: false}",
        "a.mesh-test.yaml:5: tests[0].expect: denied can only be true; else say how the call ends",
    ),
    (
        "{T}\n  tcp: b:80\n  expect: {closed: true}",
        "a.mesh-test.yaml:2: tests[0]: request and tcp exclude each other; keep one of them",
    ),
    (
        "tests:\n- name: a\n  request: GET http://a\n  expect: {status: 404}",
        "a.mesh-test.yaml:2: tests[0]: needs from or gateway; add `from: WORKLOAD` or `gateway: NAME`",
    ),
    (
        "tests:\n- name: a\n  from: b\n  tcp: b:80\n  expect: {status: 404}",
        "a.mesh-test.yaml:2: tests[0]: expect.status is for HTTP; remove it, or make a request",
    ),
    (
        "tests:\n- name: a\n  from: b\n  request: GET httpx://a\n  expect: {status: 404}",
        'a.mesh-test.yaml:4: tests[0].request: "httpx://a" is no URL of HTTP; write one such as http://',
    ),
    (
        "{T}\n  expect: {status: 404}\n- name: a\n  from: b\n  tcp: b:80\n  expect: {closed: true}",
        "a.mesh-test.yaml:6: tests[1].name: the test on line 2 has this name too; change one of them",
    ),
    (
        "{T}\n  expect: {status: 404}\n---\ntests: []",
        "a.mesh-test.yaml:7: a second document; put all tests under",
    ),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_a_bad_file_is_told_with_file_and_line(text: str, said: str) -> None:
    text = text.replace("{T}", "tests:\n- name: a\n  from: b\n  request: GET http://a")
    found = read_mesh_tests(text.encode(), "a.mesh-test.yaml")
    assert not found.valid
    assert not found.tests
    assert str(found.diagnostics[0]).startswith(said), found.diagnostics[0]
    assert len(found.diagnostics) <= 2


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    text = """\
tests:
- {name: a, from: b, request: GET http://a, expect: {status: 3}}
- {name: a, from: b, request: GET http://a, expect: {status: 404}}
- {name: b, from: b, request: reviews/0, expect: {status: 404}}
- no test
"""
    found = read_mesh_tests(text.encode(), "a.mesh-test.yaml")
    assert [(each.origin.line, each.path) for each in found.diagnostics] == [
        (2, "tests[0].expect.status"),
        (3, "tests[1].name"),
        (4, "tests[2].request"),
        (5, "tests[3]"),
    ]
    assert not found.tests


def test_bytes_that_are_no_text_are_told() -> None:
    found = read_mesh_tests(b"\xff\xfe\x00", "a.mesh-test.yaml")
    assert str(found.diagnostics[0]) == "a.mesh-test.yaml: is not UTF-8 text; save it as UTF-8"


def test_the_published_schema_is_that_of_the_model() -> None:
    published = json.loads((ROOT / "docs" / "mesh-test.schema.json").read_text(encoding="utf-8"))
    assert published == json_schema()
