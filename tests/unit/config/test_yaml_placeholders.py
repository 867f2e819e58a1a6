"""Placeholders of templates that nobody filled in."""

from __future__ import annotations

import pytest

from mizzen.config.codes import SYNTAX, UNFILLED
from mizzen.config.composed_yaml import trees
from mizzen.config.placeholders import masked, unfilled_lines
from mizzen.config.store import ConfigStore
from mizzen.config.yaml_documents import ParsedFile, parse_documents
from mizzen.config.yaml_tree import YamlError

GOOD = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: good}
spec: {hosts: [a.example.com], ports: [{number: 80, name: http}], resolution: DNS}
---
"""
HEAD = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: other}\n"


def read(text: str) -> ParsedFile:
    return parse_documents(text.encode(), "a.yaml")


def found(parsed: ParsedFile) -> list[tuple[int, str]]:
    """Return line and code of all that is wrong with a file and its documents."""
    everything = [*parsed.diagnostics, *(one for each in parsed.refused for one in each.diagnostics)]
    return [(each.origin.line, each.code) for each in everything]


@pytest.mark.parametrize(
    "text", ["a:\n  host: {{ .Values.x }}\n", "a:\n- {{ .Values.x }}\n", "a: 1\nb: {{x}}\n"]
)
def test_a_placeholder_is_named_as_that(text: str) -> None:
    with pytest.raises(YamlError, match="placeholder") as caught:
        list(trees(text))

    assert caught.value.line == 2


def test_another_mapping_as_a_key_is_no_placeholder() -> None:
    with pytest.raises(YamlError, match="a key must be a string"):
        list(trees("a: { {b: c}: d}\n"))


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        ('spec:\n  hosts: ["host-{{ .Values.env }}.example.com"]\n', [10]),
        ("spec:\n  hosts:\n  - 'a'\n  - {{ .Values.x }}-b\n", [12]),
        ("spec:\n  hosts:\n  - 'a'\n  - a-{{ .Values.x }}\n", [12]),
        ("spec:\n  {{- if .Values.on }}\n  hosts: [a]\n  {{- end }}\n", [10, 12]),
        ("spec:\n  {{- toYaml .Values.spec | nindent 2 }}\n", [10]),
        ("spec:\n  ports: [{number: {{ .Values.port }}, name: {{ .Values.name }}}]\n", [10]),
        ("spec:\n  {{ .Values.key }}: 1\n", [10]),
        ('spec:\n  "a{{ .Values.key }}": 1\n', [10]),
        ("spec: {{ .Values.spec }}\n# {{ .Values.no }}\n", [9]),
        ("{{- /* of\n two lines */}}\nspec: {{ .Values.spec }}\n", [9, 11]),
    ],
)
def test_each_placeholder_is_one_error_and_the_other_documents_are_read(spec: str, lines: list[int]) -> None:
    parsed = read(GOOD + HEAD + spec)

    assert found(parsed) == [(line, UNFILLED) for line in lines]
    assert [one.name for one in parsed.documents] == ["good"]
    assert [str(one.key) for one in parsed.refused] == ["ServiceEntry/default/other"]
    assert not parsed.broken


@pytest.mark.parametrize("name", ['"{{ .Release.Name }}"', "{{ .Release.Name }}", "a-{{ .Release.Name }}"])
def test_a_document_whose_name_is_a_placeholder_may_be_any(name: str) -> None:
    parsed = read(GOOD + HEAD.replace("{name: other}", f"\n  name: {name}"))

    assert found(parsed) == [(9, UNFILLED)]
    assert parsed.unidentified
    assert not parsed.broken


def test_the_last_valid_version_of_a_template_stays() -> None:
    store = ConfigStore()
    store.apply({"a.yaml": read(GOOD)})
    before = store.configs()
    change = store.apply({"a.yaml": read(GOOD.replace("[a.example.com]", '["{{ .Values.host }}"]'))})

    assert not change
    assert store.configs() == before
    assert [each.code for each in store.diagnostics()] == [UNFILLED]


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  x: '{{ .Values.x }}'\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - args: ['{{ .Names }}']\n",
        HEAD.replace("{name: other}", "\n  name: other\n  annotations: {a: '{{ $labels.x }}'}")
        + "spec: {}\n",
        HEAD + "spec:\n  http:\n  - directResponse: {status: 200, body: {string: '{{name}}'}}\n",
        HEAD + "spec: {} # {{ x }}\n",
        HEAD + "spec: {hosts: ['{{', '}}', 'a{{']}\n",
    ],
)
def test_texts_for_other_readers_are_no_placeholders_of_ours(text: str) -> None:
    parsed = read(text)

    assert parsed.refused == ()
    assert UNFILLED not in [code for _, code in found(parsed)]


def test_a_mistake_beside_a_text_in_braces_is_named_itself() -> None:
    parsed = read(HEAD + "spec:\n  hosts: ['{{ x }}']\n  ports: [\n")

    assert [code for _, code in found(parsed)] == [SYNTAX]
    assert parsed.broken


@pytest.mark.parametrize("action", ['{{ "hunter2" }}', '{{ .Values.x | default "hunter2" }}'])
def test_no_password_in_a_placeholder_is_repeated(action: str) -> None:
    parsed = read(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {action}}}\n")

    assert found(parsed) == [(3, UNFILLED)]
    assert "hunter2" not in str(parsed.diagnostics)


@pytest.mark.parametrize("piece", ["{{", "{{ }}", "}}", "{{ }}\n", "# {{ }} ", "{{/*", "{{/* */}}"])
def test_any_number_of_braces_is_read(piece: str) -> None:
    text = piece * 100_000

    assert masked(text).count("\n") == text.count("\n")
    assert len(unfilled_lines(text, 1)) <= text.count("\n") + 1
