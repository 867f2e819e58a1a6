"""Fields by protobuf's own names: taken as Istio's file reader takes them, with a warning."""

from __future__ import annotations

import pytest

from mizzen.config import to_config
from mizzen.config.kinds import KINDS, Kind
from mizzen.config.mesh_config_text import parse_mesh_config
from mizzen.config.schema_fields import fields_of
from mizzen.config.snake_case import may_be_snake_case
from mizzen.config.store import ConfigStore
from mizzen.config.yaml_documents import ParsedFile, parse_documents

SPEC = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, labels: {export_to: x}}
spec:
  hosts: [reviews]
  export_to: ["."]
  http:
  - &first
    match:
    - without_headers: {a_b: {exact: c}}
      source_labels: {source_labels: c}
    mirror: {host: b}
    mirror_percentage: {value: 5}
    route:
    - destination: {host: reviews}
      headers: {request: {set: {mirror_percent: x}}}
  - <<: *first
    "mirror_percentage": {value: 7}
    match: [{uri: {prefix: /other}}]
"""


def read(text: str) -> ParsedFile:
    return parse_documents(text.encode(), "a.yaml")


def test_snake_case_is_taken_and_named_with_its_line_and_what_is_right() -> None:
    parsed = read(SPEC)
    [document] = parsed.documents
    config, found = to_config(document)

    assert found == ()
    assert config is not None
    first, second = config.spec.http
    assert config.spec.export_to == (".",)
    assert (first.mirror_percentage.value, second.mirror_percentage.value) == (5, 7)
    assert dict(first.match[0].source_labels) == {"source_labels": "c"}
    assert list(first.match[0].without_headers) == ["a_b"]
    assert dict(first.route[0].headers.request.set) == {"mirror_percent": "x"}
    assert [(each.origin.line, each.path) for each in parsed.diagnostics] == [
        (6, "spec.export_to"),
        (10, "spec.http[0].match[0].without_headers"),
        (11, "spec.http[0].match[0].source_labels"),
        (13, "spec.http[0].mirror_percentage"),
        (18, "spec.http[1].mirror_percentage"),
    ]
    assert {each.severity for each in parsed.diagnostics} == {"warning"}
    assert "write `exportTo`" in parsed.diagnostics[0].message


def test_lines_of_renamed_fields_are_found_by_the_right_name() -> None:
    config, _ = to_config(read(SPEC).documents[0])

    assert config is not None
    assert config.origin_of("spec", "exportTo").line == 6
    assert config.origin_of("spec", "http", 0, "match", 0, "withoutHeaders", "a_b").line == 10
    assert config.origin_of("spec", "http", 1, "mirrorPercentage", "value").line == 18
    assert config.origin_of("metadata", "labels", "export_to").line == 3


@pytest.mark.parametrize("order", [("export_to", "exportTo"), ("exportTo", "export_to")])
def test_both_spellings_at_once_are_an_error(order: tuple[str, str]) -> None:
    first, second = order
    written = f'{first}: ["."]\n  {second}: ["*"]'
    [refused] = read(SPEC.replace('export_to: ["."]', written)).refused

    [error] = [each for each in refused.diagnostics if each.severity == "error"]
    assert (error.path, error.origin.line) == ("spec.export_to", 6 + order.index("export_to"))
    assert "keep `exportTo`" in error.message


def test_an_unchanged_document_in_snake_case_is_no_change() -> None:
    store = ConfigStore()
    store.apply({"a.yaml": read(SPEC)})

    assert not store.apply({"a.yaml": read(SPEC)})
    assert len(store.diagnostics()) == len(read(SPEC).diagnostics)
    assert len(store.configs()) == 1


def test_errors_in_renamed_fields_have_their_line() -> None:
    _, found = to_config(read(SPEC.replace("{value: 5}", "{value: five}")).documents[0])

    assert [(each.origin.line, each.path) for each in found] == [
        (13, "spec.http[0].mirrorPercentage.value"),
        (17, "spec.http[1].mirrorPercentage.value"),
    ][: len(found)]
    assert found


def test_items_of_a_list_have_their_own_lines() -> None:
    rows = SPEC.splitlines()
    text = "apiVersion: v1\nkind: List\nitems:\n- " + "\n  ".join(rows) + "\n"
    parsed = read(text)
    config, _ = to_config(parsed.documents[0])

    assert config is not None
    assert config.origin_of("spec", "exportTo").line == 9
    assert parsed.diagnostics[0].origin.line == 9


def test_kubernetes_kinds_know_no_other_names() -> None:
    text = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
        "spec: {ports: [{port: 80, target_port: 8080}], external_name: x}\n"
    )
    [document] = read(text).documents

    assert document.content["spec"]["external_name"] == "x"


def test_settings_of_the_mesh_are_read_by_either_name() -> None:
    settings, found = parse_mesh_config("outbound_traffic_policy:\n  mode: REGISTRY_ONLY\n", "mesh.yaml")

    assert settings is not None
    assert settings.outbound_traffic_policy.mode == "REGISTRY_ONLY"
    assert [str(each) for each in found] == [
        "mesh.yaml:1: outbound_traffic_policy: is read as `outboundTrafficPolicy`; write "
        "`outboundTrafficPolicy`, Kubernetes knows no other name"
    ]


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.has_spec])
def test_every_field_of_two_words_is_seen_in_a_text(kind: Kind) -> None:
    model = kind.model
    for name, written in zip(model.model_fields, fields_of(model), strict=True):
        assert may_be_snake_case(f"{name}: 1") == (name != written and not name.endswith("_"))
        assert may_be_snake_case(f'{{"{name}" : 1}}') == (name != written and not name.endswith("_"))
