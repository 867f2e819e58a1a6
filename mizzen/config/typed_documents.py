"""Typing: from a raw document to a typed and valid configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeGuard, get_args

from pydantic import BaseModel

from mizzen.config.codes import SCHEMA, SCHEMA_WARNING
from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import Config, Document, FieldPath
from mizzen.config.group_kinds import AUTHORIZATION_POLICY, SECRET
from mizzen.config.kinds import KINDS, Kind
from mizzen.config.names import label_key_error, label_value_error
from mizzen.config.partial_documents import without_malformed
from mizzen.config.scalars import describe
from mizzen.config.schema_errors import place, schema_diagnostics
from mizzen.config.schema_fields import nearest
from mizzen.config.validation.place import Place

_TOP_LEVEL: Final = ("apiVersion", "kind", "metadata", "spec", "status")


def to_config(document: Document) -> tuple[Config[Any] | None, tuple[Diagnostic, ...]]:
    """Type and check a document by its kind; return the configuration, or None if a diagnostic is an error.

    The diagnostics are all errors and warnings about the document: first those about its form, then those
    about its meaning (Istio's validation rules). The rules are applied to the parts that have the right form.
    """
    kind = KINDS[document.group_kind]
    found: list[Diagnostic] = []
    labels, annotations, created = _metadata(document, found)
    spec, errors = _spec(kind, document)
    found.extend(errors)
    removed: frozenset[FieldPath] = frozenset()
    if spec is None and kind.has_spec:
        rest = without_malformed(kind.model, document.content.get("spec") or {})
        if rest is None:
            return None, tuple(found)
        spec, removed = rest[0], frozenset(("spec", *path) for path in rest[1])
    elif spec is None:
        return None, tuple(found)
    config: Config[Any] = Config(
        document.api_version,
        document.kind,
        document.namespace,
        document.name,
        spec,
        document.origin,
        document.lines,
        labels,
        annotations,
        created,
    )
    kind.validate(config, Place(config, ("spec",) if kind.has_spec else (), found, removed))
    valid = all(each.severity is not Severity.ERROR for each in found)
    return (config if valid else None), tuple(found)


def _spec(kind: Kind, document: Document) -> tuple[Any, tuple[Diagnostic, ...]]:
    content = document.content
    lines, file = document.lines, document.origin.file
    if not kind.has_spec:
        whole = {key: value for key, value in content.items() if key not in _TOP_LEVEL[:3]}
        spec, errors = schema_diagnostics(kind.model, whole, lines.line_of, file, secret=kind.of == SECRET)
        return spec, (*errors, *_misspelt(kind.model, whole, document, ()))
    unknown = tuple(
        _error(document, (name,), "unknown field" + _meant(name))
        for name in content
        if name not in _TOP_LEVEL
    )
    written = content.get("spec")
    prefix: FieldPath = ("spec",)
    spec, errors = schema_diagnostics(
        kind.model,
        {} if written is None else written,
        lambda path: lines.line_of((*prefix, *path)),
        file,
        prefix,
    )
    if kind.group == AUTHORIZATION_POLICY.group:
        errors = (*errors, *_left_empty(written, document, prefix))
    return spec, unknown + errors


def _left_empty(value: Any, document: Document, path: FieldPath) -> Iterator[Diagnostic]:
    """Warn about fields of a security policy that have a name and no value. They count as absent, and a
    policy without a condition may allow more than its author meant."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _left_empty(item, document, (*path, index))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _left_empty(inner, document, (*path, name))
    elif value is None and path != ("spec",) and isinstance(path[-1], str):
        where = Origin(document.origin.file, document.lines.line_of(path))
        message = "has no value and counts as absent; write its value, or leave it out"
        yield Diagnostic(Severity.WARNING, SCHEMA_WARNING, message, where, place(path))


def _misspelt(
    model: type[BaseModel], written: Mapping[str, Any], document: Document, path: FieldPath
) -> Iterator[Diagnostic]:
    """Warn about fields of a Kubernetes object that differ from known fields only in case.

    Other unknown fields get no warning: a mesh reads only a few of Kubernetes' fields.
    """
    spellings = _spellings(model)
    for name, value in written.items():
        right, inner = spellings.get(name.lower(), (name, None)) if isinstance(name, str) else (name, None)
        if name != right:
            where = Origin(document.origin.file, document.lines.line_of((*path, name)))
            message = f"is not read; did you mean `{right}`?"
            yield Diagnostic(Severity.WARNING, SCHEMA_WARNING, message, where, place((*path, name)))
        elif inner is not None and isinstance(value, dict) and path == ():
            yield from _misspelt(inner, value, document, (name,))


@cache
def _spellings(model: type[BaseModel]) -> Mapping[str, tuple[str, type[BaseModel] | None]]:
    """Return the fields of a model by their names in lower case: how each is spelt, and its own model."""
    found = {}
    for name, field in model.model_fields.items():
        spelt, kinds = field.alias or name, (field.annotation, *get_args(field.annotation))
        found[spelt.lower()] = spelt, next(filter(_is_model, kinds), None)
    return found


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _meant(name: str) -> str:
    close = nearest(name, _TOP_LEVEL)
    return f"; did you mean `{close}`?" if close else "; it may belong in `spec`"


def _metadata(
    document: Document, found: list[Diagnostic]
) -> tuple[Mapping[str, str], Mapping[str, str], datetime | None]:
    metadata: Mapping[str, Any] = document.content["metadata"]
    labels = _strings(document, "labels", metadata.get("labels"), label_value_error, found)
    annotations = _strings(document, "annotations", metadata.get("annotations"), None, found)
    created = metadata.get("creationTimestamp")
    if created is None:
        return labels, annotations, None
    try:
        moment = datetime.fromisoformat(created)
    except (TypeError, ValueError):
        message = f"must be a time such as 2026-01-31T12:00:00Z; not {describe(created)}"
        found.append(_error(document, ("metadata", "creationTimestamp"), message))
        return labels, annotations, None
    return labels, annotations, moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _strings(
    document: Document,
    field: str,
    value: Any,
    rule: Callable[[str], str | None] | None,
    found: list[Diagnostic],
) -> Mapping[str, str]:
    """Return labels or annotations, which map strings to strings; values that are none are left out."""
    path: FieldPath = ("metadata", field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        found.append(_error(document, path, f"must be a mapping of strings; not {describe(value)}"))
        return {}
    for key, text in value.items():
        wrong = label_key_error(key)
        if text is None:
            continue
        if not isinstance(text, str):
            quoted = "true" if text is True else "false" if text is False else text
            right = f'; quote it: "{quoted}"' if isinstance(text, (bool, int, float)) else ""
            wrong = f"must be a string; not {describe(text)}{right}"
        elif wrong is None and rule is not None:
            wrong = rule(text)
        if wrong is not None:
            found.append(_error(document, (*path, key), wrong))
    if all(isinstance(text, str) for text in value.values()):
        return value
    # Kubernetes reads null in a map of strings as "".
    return {key: text or "" for key, text in value.items() if text is None or isinstance(text, str)}


def _error(document: Document, path: FieldPath, message: str) -> Diagnostic:
    where = Origin(document.origin.file, document.lines.line_of(path))
    return Diagnostic(Severity.ERROR, SCHEMA, message, where, place(path))
