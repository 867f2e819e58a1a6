"""Mistakes that would otherwise pass in silence."""

from __future__ import annotations

import pytest

from mizzen.config import Severity, parse_documents, to_config


def test_a_list_must_have_a_list_of_items() -> None:
    parsed = parse_documents(b"apiVersion: v1\nkind: List\nitems: 5\n", "list.yaml")

    [diagnostic] = parsed.diagnostics
    assert (diagnostic.severity, str(diagnostic.origin), diagnostic.path) == (
        Severity.ERROR,
        "list.yaml:3",
        "items",
    )
    assert "must be a list of documents; not " in diagnostic.message


@pytest.mark.parametrize(
    ("text", "path", "right"),
    [
        ("kind: Secret\nmetadata: {name: a}\nstringdata: {a: b}\n", "stringdata", "stringData"),
        (
            "kind: Service\nmetadata: {name: a}\nspec: {clusterIp: 10.0.0.1, ports: [{port: 80}]}\n",
            "spec.clusterIp",
            "clusterIP",
        ),
    ],
)
def test_capitals_matter_in_kubernetes_objects(text: str, path: str, right: str) -> None:
    parsed = parse_documents(b"apiVersion: v1\n" + text.encode(), "a.yaml")

    config, diagnostics = to_config(parsed.documents[0])

    assert config is not None
    [diagnostic] = diagnostics
    assert (diagnostic.severity, diagnostic.path) == (Severity.WARNING, path)
    assert right in diagnostic.message


def test_a_condition_without_a_value_is_not_passed_over_in_a_security_policy() -> None:
    """A rule without `from` is for every client."""
    text = b"""\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a}
spec:
  rules:
  - from:
    to: [{operation: {methods: [GET]}}]
  - from: [{source: {principals: [], namespaces: [b]}}]
"""
    config, diagnostics = to_config(parse_documents(text, "a.yaml").documents[0])
    assert config is not None
    assert [str(each) for each in diagnostics] == [
        "a.yaml:6: spec.rules[0].from: has no value and counts as absent; write its value, or leave it out"
    ]
    empty = text[: text.index(b"spec:")] + b"spec:\n"
    assert to_config(parse_documents(empty, "a.yaml").documents[0])[1] == (), "it allows nothing"


def test_other_fields_of_kubernetes_are_silent() -> None:
    text = b"apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
    text += b"spec: {sessionAffinity: None, ports: [{port: 80}]}\n"

    config, diagnostics = to_config(parse_documents(text, "a.yaml").documents[0])

    assert config is not None
    assert diagnostics == ()


def test_what_an_unserved_kind_does_not_do_is_said() -> None:
    text = b"apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: a}\nspec: {}\n"
    [diagnostic] = parse_documents(text, "a.yaml").diagnostics
    assert (diagnostic.severity, str(diagnostic.origin)) == (Severity.WARNING, "a.yaml:2")
    assert "Envoy's configuration is not patched" in diagnostic.message
