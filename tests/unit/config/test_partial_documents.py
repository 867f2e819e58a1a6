"""A field of the wrong form hides nothing that is wrong in other fields."""

from __future__ import annotations

from mizzen.config import parse_documents, to_config

HEAD = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n"


def found(spec: str) -> list[str]:
    [document] = parse_documents((HEAD + spec).encode(), "a.yaml").documents
    config, diagnostics = to_config(document)
    assert config is None
    return [f"{each.origin}: {each.path}" for each in diagnostics]


def test_rules_look_at_the_rest() -> None:
    spec = """
  hosts: [a.example.com]
  http:
  - timeout: often
    match: [{uri: {regex: "(("}}]
    route:
    - destination: {host: a}
  - retries: {attempts: -1}
    route:
    - destination: {host: a}
"""
    assert found(spec) == [
        "a.yaml:8: spec.http[0].timeout",
        "a.yaml:9: spec.http[0].match[0].uri.regex",
        "a.yaml:12: spec.http[1].retries.attempts",
    ]


def test_nothing_is_said_about_what_lacks_a_field_that_was_taken_out() -> None:
    spec = """
  hosts: [a.example.com]
  http:
  - route:
    - destination: {host: a}
      weight: some
    - destination: {host: b}
      weight: 80
  - route: {destination: {host: c}}
"""
    assert found(spec) == ["a.yaml:10: spec.http[0].route[0].weight", "a.yaml:13: spec.http[1].route"]


def test_a_required_field_that_is_missing_hides_nothing_elsewhere() -> None:
    spec = """
  hosts: [a.example.com]
  http:
  - mirrors: [{percentage: {value: 300}}]
    route:
    - {}
  - match: [{uri: {regex: "(("}}]
    route:
    - destination: {host: a}
"""
    assert "a.yaml:11: spec.http[1].match[0].uri.regex" in found(spec)


def test_a_label_that_is_no_text_hides_nothing_of_the_spec() -> None:
    text = HEAD.replace("{name: a}", "{name: a, labels: {version: 1}}")
    [document] = parse_documents((text + "  hosts: []\n").encode(), "a.yaml").documents
    assert [each.path for each in to_config(document)[1]] == ["metadata.labels.version", "spec"]


def test_a_document_of_nothing_but_nonsense_says_so_once() -> None:
    assert found("  - what\n") == ["a.yaml:4: spec"]
