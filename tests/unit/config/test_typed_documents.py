"""From documents to typed configurations: what is refused, where, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mizzen.config import KINDS, Config, Diagnostic, parse_documents, to_config
from mizzen.config.group_kinds import ENDPOINT_SLICE, SERVICE, SERVICE_ENTRY
from mizzen.config.models import VirtualService
from mizzen.config.schema_errors import place
from mizzen.config.schema_fields import nearest, nearest_field, places_of, unknown_fields


def typed(text: str) -> tuple[Config[Any] | None, list[str]]:
    found = parse_documents(text.encode(), "mesh.yaml")
    assert not found.diagnostics
    [document] = found.documents
    config, diagnostics = to_config(document)
    return config, [str(each) for each in diagnostics]


def virtual_service(http: str, metadata: str = "{name: reviews}") -> str:
    return (
        f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {metadata}\n"
        f"spec:\n  hosts: [reviews]\n  http:\n{http}"
    )


ROUTE = "  - route:\n    - destination: {host: reviews}\n"


def test_a_valid_document_becomes_a_configuration() -> None:
    metadata = (
        "{name: reviews, namespace: shop, labels: {app: r, empty: }, annotations: {note: x},"
        " creationTimestamp: '2026-01-31T12:00:00Z'}"
    )
    config, diagnostics = typed(virtual_service(ROUTE, metadata))
    assert diagnostics == []
    assert config is not None
    assert isinstance(config.spec, VirtualService)
    assert config.spec.hosts == ("reviews",)
    assert str(config.key) == "VirtualService/shop/reviews"
    assert (config.labels, config.annotations) == ({"app": "r", "empty": ""}, {"note": "x"})
    assert config.creation_timestamp == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert str(config.origin_of("spec", "http", 0, "route", 0)) == "mesh.yaml:8"


def test_all_errors_are_told_at_once_with_their_lines() -> None:
    config, diagnostics = typed(
        virtual_service(
            "  - timeot: 5s\n"
            "    retries: {attempts: three, perTryTimeout: 5}\n"
            "    subset: v1\n"
            "    fault: broken\n"
            "    route:\n"
            "    - destination:\n"
            "        host: 5\n"
            "      weight: many\n"
            "    - headers: {}\n"
            "    redirect: {redirectCode: 301, derivePort: FROM_PROTOCL_DEFAULT}\n"
            "    corsPolicy: {allowCredentials: 'true', allowOrigins: {exact: a}}\n",
            "{name: reviews, labels: {version: 1, 'a b': c, on-call: yes}, creationTimestamp: soon}",
        )
    )
    assert config is None
    assert sorted(diagnostics) == sorted(
        [
            'mesh.yaml:3: metadata.labels.version: must be a string; not the integer 1; quote it: "1"',
            'mesh.yaml:3: metadata.labels.a b: "a b" is not a label key; use at most 63 letters, '
            "digits, `-`, "
            "`_` and `.`, after an optional DNS name and `/`",
            'mesh.yaml:3: metadata.labels.on-call: must be a string; not the boolean true; quote it: "true"',
            "mesh.yaml:3: metadata.creationTimestamp: must be a time such as 2026-01-31T12:00:00Z; not "
            '"soon"',
            "mesh.yaml:7: spec.http[0].timeot: unknown field; did you mean `timeout`?",
            'mesh.yaml:8: spec.http[0].retries.attempts: must be a whole number; not "three"',
            "mesh.yaml:8: spec.http[0].retries.perTryTimeout: must be a duration; not the integer 5; "
            "write a number "
            "with its unit, such as 5s, 1m30s or 100ms",
            "mesh.yaml:9: spec.http[0].subset: unknown field; it belongs to spec.http[].mirror or "
            "spec.http[].route[].destination or spec.http[].mirrors[].destination, ...",
            'mesh.yaml:10: spec.http[0].fault: must be a mapping of fields; not "broken"',
            "mesh.yaml:13: spec.http[0].route[0].destination.host: must be a string; not the integer "
            '5; quote it: "5"',
            'mesh.yaml:14: spec.http[0].route[0].weight: must be a whole number; not "many"',
            "mesh.yaml:15: spec.http[0].route[1].destination: the destination is missing; write its host",
            "mesh.yaml:16: spec.http[0].redirect.derivePort: must be one of FROM_PROTOCOL_DEFAULT, "
            "FROM_REQUEST_PORT; "
            'not "FROM_PROTOCL_DEFAULT"; did you mean FROM_PROTOCOL_DEFAULT?',
            "mesh.yaml:17: spec.http[0].corsPolicy.allowCredentials: must be true or false; not "
            '"true"; remove the '
            "quotes",
            "mesh.yaml:17: spec.http[0].corsPolicy.allowOrigins: must be a list; not a mapping; begin "
            "each item with "
            "`- `",
        ]
    )


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (
            "mirrorPercent: {value: 50}",
            "mirrorPercent: must be a whole number; not a mapping; "
            "the field is deprecated, write mirrorPercentage",
        ),
        (
            "fault: {delay: {percent: all}}",
            'fault.delay.percent: must be a whole number; not "all"; '
            "the field is deprecated, write percentage",
        ),
        (
            "mirrorPercentage: 12.5",
            "mirrorPercentage: must be a mapping of fields; not the number 12.5; write {value: 12.5}",
        ),
        ("mirrorPercentage: true", "mirrorPercentage: must be a mapping of fields; not the boolean true"),
        ("retries: 3", "retries: must be a mapping of fields; not the integer 3"),
    ],
)
def test_what_would_be_right_in_place_of_a_field(field: str, expected: str) -> None:
    _, diagnostics = typed(virtual_service(f"  - {field}\n"))
    assert diagnostics == [f"mesh.yaml:7: spec.http[0].{expected}"]


def test_rules_of_meaning_come_with_the_field_s_line() -> None:
    config, diagnostics = typed(virtual_service("  - timeout: 5s\n"))
    assert config is None
    assert any(each.startswith("mesh.yaml:7: spec.http[0]") for each in diagnostics)


def test_null_is_absent() -> None:
    config, diagnostics = typed(
        virtual_service("  - timeout: null\n    retries:\n" + ROUTE.replace("  - ", "    ", 1))
    )
    assert diagnostics == []
    assert config is not None
    assert config.spec.http[0].timeout is None


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("specs: {}\n", "mesh.yaml:4: specs: unknown field; did you mean `spec`?"),
        ("hosts: [a]\n", "mesh.yaml:4: hosts: unknown field; it may belong in `spec`"),
        ("spec: [a]\n", "mesh.yaml:4: spec: must be a mapping of fields; not a list"),
        ("spec: text\n", 'mesh.yaml:4: spec: must be a mapping of fields; not "text"'),
    ],
)
def test_top_level_mistakes(tail: str, expected: str) -> None:
    config, diagnostics = typed(
        f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\n{tail}"
    )
    assert config is None
    assert expected in diagnostics


@pytest.mark.parametrize("part", ["labels", "annotations"])
def test_labels_that_are_no_mapping(part: str) -> None:
    _, diagnostics = typed(virtual_service(ROUTE, f"{{name: a, {part}: [x]}}"))
    assert diagnostics == [f"mesh.yaml:3: metadata.{part}: must be a mapping of strings; not a list"]


def test_status_is_ignored() -> None:
    config, diagnostics = typed(virtual_service(ROUTE) + "status: {validationMessages: [x]}\n")
    assert config is not None
    assert diagnostics == []


def test_paths_are_written_as_users_write_them() -> None:
    assert place(("spec", "http", 0, "route")) == "spec.http[0].route"
    assert (
        place(("metadata", "labels", "app.kubernetes.io/name")) == "metadata.labels[app.kubernetes.io/name]"
    )
    assert place(()) == ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("per_try_timeout", "perTryTimeout"),
        ("PerTryTimeout", "perTryTimeout"),
        ("attemps", "attempts"),
        ("zzz", None),
    ],
)
def test_the_nearest_name(name: str, meant: str | None) -> None:
    assert nearest(name, ["attempts", "perTryTimeout", "retryOn"]) == meant


def test_places_of_fields_come_from_the_models() -> None:
    assert places_of(VirtualService)["hosts"] == ("",)
    assert "http[].route[].destination" in places_of(VirtualService)["subset"]
    assert nearest_field(VirtualService, ("http", 0, "zzz")) == ""
    assert "did you mean `hosts`" in nearest_field(VirtualService, ("host",))
    port = ("http", 0, "route", 0, "destination", "port", "name")
    assert nearest_field(VirtualService, port) == "; known is number"  # a name stands in many places
    assert ", headers, " in nearest_field(VirtualService, ("http", 0, "match", 0, "end-user"))


def test_unknown_fields_are_found_at_any_depth() -> None:
    content = {
        "hosts": ["a"],
        "x": 1,
        "http": [{"name": "n", "y": 1, "match": [{"uri": {"z": 1}, "w": None}]}],
    }
    assert list(unknown_fields(VirtualService, content)) == [
        ("x",),
        ("http", 0, "y"),
        ("http", 0, "match", 0, "uri", "z"),
    ]


def test_every_kind_has_its_place_in_kubernetes() -> None:
    assert {kind.name for kind in KINDS.values()} >= {
        *(
            "VirtualService",
            "DestinationRule",
            "Gateway",
            "ServiceEntry",
            "WorkloadEntry",
            "WorkloadGroup",
            "Sidecar",
        ),
        *("Service", "Endpoints", "EndpointSlice", "Pod", "Secret", "Namespace"),
    }
    assert KINDS[SERVICE_ENTRY].api_versions == (
        "networking.istio.io/v1alpha3",
        "networking.istio.io/v1beta1",
        "networking.istio.io/v1",
    )
    assert KINDS[SERVICE].api_versions == ("v1",)
    assert KINDS[ENDPOINT_SLICE].api_versions == ("discovery.k8s.io/v1",)


def test_diagnostics_read_as_file_line_path_message() -> None:
    _, [text] = typed(virtual_service(ROUTE, "{name: a, labels: {x: 1}}"))
    assert text.split(": ", 2)[:2] == ["mesh.yaml:3", "metadata.labels.x"]
    assert isinstance(to_config(parse_documents(virtual_service(ROUTE).encode(), "f").documents[0])[1], tuple)
    assert Diagnostic.__hash__ is not None


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("labels: {app: 'a b'}", 'metadata.labels.app: "a b" is not a label value'),
        ("labels: {'a b': x}", 'metadata.labels.a b: "a b" is not a label key'),
        ("labels: {app: 1}", 'metadata.labels.app: must be a string; not the integer 1; quote it: "1"'),
        (
            "labels: {app: yes}",
            'metadata.labels.app: must be a string; not the boolean true; quote it: "true"',
        ),
        ("labels: {app: [x]}", "metadata.labels.app: must be a string; not a list"),
        ("labels: x", 'metadata.labels: must be a mapping of strings; not "x"'),
        ("annotations: {'a b': x}", 'metadata.annotations.a b: "a b" is not a label key'),
        (
            "creationTimestamp: soon",
            "metadata.creationTimestamp: must be a time such as 2026-01-31T12:00:00Z",
        ),
        ("creationTimestamp: 5", "metadata.creationTimestamp: must be a time such as 2026-01-31T12:00:00Z"),
    ],
)
def test_mistakes_in_the_metadata(metadata: str, said: str) -> None:
    config, [diagnostic] = typed(virtual_service(ROUTE, f"{{name: reviews, {metadata}}}"))
    assert config is None
    assert diagnostic.startswith(f"mesh.yaml:3: {said}")


def test_annotations_are_any_text_and_times_without_a_zone_are_utc() -> None:
    config, diagnostics = typed(
        virtual_service(
            ROUTE,
            "{name: reviews, annotations: {note: 'a b', none: }, creationTimestamp: '2026-01-31T12:00:00'}",
        )
    )
    assert diagnostics == []
    assert config is not None
    assert config.annotations == {"note": "a b", "none": ""}
    assert config.creation_timestamp == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize("value", ["{}", "[]", "true", "1"])
def test_an_annotation_that_is_no_text_is_refused_before_rules_read_it(value: str) -> None:
    text = (
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
        f"metadata: {{name: reviews, annotations: {{istio.io/dry-run: {value}}}}}\nspec: {{}}\n"
    )
    (document,) = parse_documents(text.encode(), "a.yaml").documents
    config, (diagnostic,) = to_config(document)
    assert config is None
    assert diagnostic.path == "metadata.annotations[istio.io/dry-run]"
    assert "must be a string" in diagnostic.message
