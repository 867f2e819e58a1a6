"""Pydantic's errors in the user's words: path, line, what is wrong, what would be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mizzen.config.codes import SCHEMA
from mizzen.config.diagnostics import MAX_DIAGNOSTICS, Diagnostic, Origin, Severity, bounded
from mizzen.config.document import FieldPath
from mizzen.config.scalars import describe, shortened
from mizzen.config.schema_fields import enum_at, fields_of, instead_of, models_at, nearest, nearest_field

Model = TypeVar("Model", bound=BaseModel)
LineOf = Callable[[FieldPath], int]


def place(path: FieldPath) -> str:
    """Return a path as users write it: `spec.http[0].route[1].weight`; a key with dots is put in brackets."""
    text = ""
    for step in path:
        if isinstance(step, int) or "." in step or "/" in step or not step:
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def schema_diagnostics(
    model: type[Model],
    content: Any,
    line_of: LineOf,
    file: str,
    prefix: FieldPath = (),
    *,
    secret: bool = False,
) -> tuple[Model | None, tuple[Diagnostic, ...]]:
    """Type `content` by `model`; return the typed value, or None and all errors with their places.

    `line_of` returns the line of a path inside `content`; `prefix` is the path of `content` in its document,
    as shown in messages. With `secret`, messages quote no value.
    """
    try:
        return model.model_validate(content), ()
    except ValidationError as error:
        found: dict[tuple[str, str], Diagnostic] = {}
        for details in error.errors(include_url=False)[: 2 * MAX_DIAGNOSTICS]:
            path = as_written(content, details)
            message = _message(model, path, prefix, details, secret=secret) + instead_of(model, path)
            origin = Origin(file, line_of(path))
            diagnostic = Diagnostic(Severity.ERROR, SCHEMA, message, origin, place((*prefix, *path)))
            found.setdefault((diagnostic.path, message), diagnostic)
        return None, bounded(tuple(found.values()))


def as_written(content: Any, details: ErrorDetails) -> FieldPath:
    """Return the path of an error as the user wrote it, without the steps that pydantic adds."""
    path: list[str | int] = []
    value = content
    for step in details["loc"]:
        if isinstance(value, dict):
            if step in value:
                value = value[step]
            elif details["type"] == "missing":
                value = None
            else:
                continue
            path.append(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
            path.append(step)
    return tuple(path)


_LISTS: Final = ("tuple_type", "list_type", "set_type", "frozen_set_type")
_MAPPINGS: Final = ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type")
_INTEGERS: Final = ("int_type", "int_parsing", "int_from_float", "integer")
_NUMBERS: Final = ("float_type", "float_parsing", "number", "finite_number")
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def _message(
    model: type[BaseModel], path: FieldPath, prefix: FieldPath, details: ErrorDetails, *, secret: bool
) -> str:
    kind = details["type"]
    value = details["input"]
    given = "" if secret else f"; not {describe(value)}"
    match kind:
        case "missing":
            return "is required; add it"
        case "extra_forbidden":
            return "unknown field" + nearest_field(model, path, prefix)
        case "string_type":
            scalar = isinstance(value, (bool, int, float)) and not secret
            return f"must be a string{given}" + (f'; quote it: "{_as_yaml(value)}"' if scalar else "")
        case "bool_type" | "bool_parsing":
            quoted = isinstance(value, str) and value in ("true", "false")
            return f"must be true or false{given}" + ("; remove the quotes" if quoted else "")
        case "enum" | "literal_error":
            return _enum_message(model, path, details, given)
        case "duration" if not isinstance(value, str):
            return f"must be a duration{given}; write a number with its unit, such as 5s, 1m30s or 100ms"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"must be {words} {(details.get('ctx') or {}).get(key)}{given}"
    for kinds, words in (
        (_INTEGERS, "must be a whole number"),
        (_NUMBERS, "must be a number"),
        (_LISTS, "must be a list"),
        (_MAPPINGS, "must be a mapping of fields"),
    ):
        if kind in kinds:
            hint = "" if secret else _field_hint(kind, models_at(model, path), value)
            return words + given + _list_hint(kind, value) + hint
    return _own_words(details, given)


def _list_hint(kind: str, value: Any) -> str:
    if kind not in _LISTS:
        return ""
    return "; begin each item with `- `" if isinstance(value, (dict, str, int, float, bool)) else ""


def _field_hint(kind: str, models: list[type[BaseModel]], value: Any) -> str:
    """Return how a number is written for a message that has one field, such as a percentage."""
    fields = [name for each in models for name in fields_of(each)]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"; write {{{fields[0]}: {value}}}" if kind in _MAPPINGS and len(fields) == 1 and is_number else ""


def _own_words(details: ErrorDetails, given: str) -> str:
    """Return the message of a rule with its own message; pydantic's own are reworded."""
    message = details["msg"].removeprefix("Value error, ")
    if message.startswith("Input should be "):
        return message.replace("Input should be", "must be", 1) + given
    return message


def _enum_message(model: type[BaseModel], path: FieldPath, details: ErrorDetails, given: str) -> str:
    enum = enum_at(model, path)
    if enum is None:
        return f"must be {(details.get('ctx') or {}).get('expected', 'one of the known values')}{given}"
    names = [str(member.value) for member in enum]
    value = details["input"]
    near = nearest(value, names) if isinstance(value, str) else None
    return f"must be one of {', '.join(names)}{given}" + (f"; did you mean {near}?" if near and given else "")


def _as_yaml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return shortened(str(value))
