"""Fields by protobuf's own names, such as `mirror_percent` for `mirrorPercent`, which Istio also reads.

protobuf's JSON form allows either name of a field (https://protobuf.dev/programming-guides/json/). Keys of
maps (labels, headers) are the user's and stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydantic import BaseModel

from mizzen.config.codes import SCHEMA, SCHEMA_WARNING
from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import FieldPath
from mizzen.config.lines import DocumentLines
from mizzen.config.schema_errors import place
from mizzen.config.schema_fields import fields_of, inner_models

_A_KEY: Final = re.compile(r"[a-z0-9]_[a-z0-9_]+[\"']?[ \t]*:")


def may_be_snake_case(text: str) -> bool:
    """Tell quickly whether the text of documents may have such a field; most texts have none."""
    return "_" in text and _A_KEY.search(text) is not None


def with_json_names(
    model: type[BaseModel],
    content: Any,
    lines: DocumentLines,
    file: str,
    prefix: FieldPath = (),
    above: FieldPath = (),
) -> tuple[Any, DocumentLines, list[Diagnostic]]:
    """Rename the snake_case fields of `content`, which `model` describes and which stands at `prefix` in
    `lines`.

    `above` is put before the paths in diagnostics.

    Returns the content, the lines under the new names, and a warning for each field; a field that is written
    in both ways is an error. Content without such fields is returned unchanged.
    """
    found: list[tuple[FieldPath, str, bool]] = []
    renamed = _renamed(model, content, prefix, found)
    if not found:
        return content, lines, []
    diagnostics = []
    for path, right, twice in found:
        message = (
            f"and `{right}` are one field; keep `{right}`"
            if twice
            else f"is read as `{right}`; write `{right}`, Kubernetes knows no other name"
        )
        where = place((*above, *path))
        severity, code = (Severity.ERROR, SCHEMA) if twice else (Severity.WARNING, SCHEMA_WARNING)
        diagnostics.append(Diagnostic(severity, code, message, Origin(file, lines.line_of(path)), where))
    return renamed, lines.renamed({path: right for path, right, _ in found}), diagnostics


def _renamed(
    model: type[BaseModel], value: Any, path: FieldPath, found: list[tuple[FieldPath, str, bool]]
) -> Any:
    """Return `value`, which `model` describes, with the JSON names; add each renamed path to `found`."""
    if not isinstance(value, dict):
        return value
    fields, right_names = fields_of(model), _right_names(model)
    result: dict[str, Any] = {}
    for name, inner in value.items():
        right = right_names.get(name, name)
        below = (*path, name)
        if right != name:
            found.append((below, right, right in value))
        field = fields.get(right)
        result[right] = inner if field is None else _inner(field.annotation, inner, below, found)
    return result


@cache
def _right_names(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the JSON names of a model's fields by protobuf's own, which are the attribute names."""
    return {name.rstrip("_"): field.alias or name for name, field in model.model_fields.items()}


def _inner(annotation: Any, value: Any, path: FieldPath, found: list[tuple[FieldPath, str, bool]]) -> Any:
    models = dict(inner_models(annotation))
    one, each = models.get(""), models.get("[]")
    if each is not None and isinstance(value, list):
        return [_renamed(each, item, (*path, index), found) for index, item in enumerate(value)]
    if each is not None and isinstance(value, dict):
        return {key: _renamed(each, item, (*path, key), found) for key, item in value.items()}
    return value if one is None else _renamed(one, value, path, found)
