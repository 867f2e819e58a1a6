"""The fields of models and where they stand: for messages about unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mizzen.config.document import FieldPath
from mizzen.config.models.types import Deprecated

_DEEPEST: Final = 10
_MAX_PLACES: Final = 3
"""How many places of a misplaced field a message names."""
_MAX_FIELDS: Final = 14
"""How many fields of a message a diagnostic lists: those of a match of HTTP."""
_FEW_FIELDS: Final = 3
"""Of a message with so few fields these are told, and not where else a field of a common name stands."""


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by the names that users write."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


_LONGEST_NAME: Final = 100
"""Longer names are not compared: the cost is the square of the length."""


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the one of `known` that `name` most likely means; None if none is similar."""
    if len(name) > _LONGEST_NAME:
        return None
    folded = {each.replace("_", "").lower(): each for each in known}
    same = folded.get(name.replace("_", "").replace("-", "").lower())
    if same is not None:
        return same
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return close[0] if close else None


def nearest_field(model: type[BaseModel], path: FieldPath, prefix: FieldPath = ()) -> str:
    """Return the end of a message about the unknown field at `path`: what was meant, or where it belongs.

    For example "; did you mean `timeout`?" or "; it belongs to spec.http[].route[].destination". Empty if no
    field is similar. `prefix` is put before the places.
    """
    name = path[-1] if path else None
    if not isinstance(name, str):
        return ""
    known = [field for each in models_at(model, path[:-1]) for field in fields_of(each)]
    close = nearest(name, known)
    if close is not None:
        return f"; did you mean `{close}`?"
    start = ".".join(str(step) for step in prefix)
    places = [".".join(filter(None, (start, place))) for place in places_of(model).get(name, ())]
    if places and not (len(places) > 1 and 0 < len(known) <= _FEW_FIELDS):
        more = ", ..." if len(places) > _MAX_PLACES else ""
        return f"; it belongs to {' or '.join(places[:_MAX_PLACES])}{more}"
    if 0 < len(known) <= _MAX_FIELDS:
        return f"; known {'is' if len(known) == 1 else 'are'} {', '.join(known)}"
    return ""


@cache
def places_of(model: type[BaseModel]) -> Mapping[str, tuple[str, ...]]:
    """Return the places of each field name in `model`, at any depth, shallowest first."""
    places: dict[str, list[str]] = {}
    level: list[tuple[str, type[BaseModel], tuple[type[BaseModel], ...]]] = [("", model, ())]
    for _ in range(_DEEPEST):
        deeper = []
        for place, each, above in level:
            for name, field in fields_of(each).items():
                places.setdefault(name, []).append(place)
                for suffix, inner in inner_models(field.annotation):
                    if inner not in above:
                        deeper.append((f"{place}.{name}{suffix}".lstrip("."), inner, (*above, each)))
        level = deeper
    return {name: tuple(found) for name, found in places.items()}


def models_at(model: type[BaseModel], path: FieldPath) -> list[type[BaseModel]]:
    """Return the models that describe the value at `path`; empty if it is not a message."""
    return [each for each in _annotations_at(model, path) if _is_model(each)]


def enum_at(model: type[BaseModel], path: FieldPath) -> type[Enum] | None:
    """Return the enum of the value at `path`, or None."""
    for each in _annotations_at(model, path):
        if isinstance(each, type) and issubclass(each, Enum):
            return each
    return None


def instead_of(model: type[BaseModel], path: FieldPath) -> str:
    """Return the end of a message about the field at `path` if it is deprecated: what to write instead."""
    fields = [fields_of(each).get(str(path[-1])) for each in models_at(model, path[:-1])] if path else []
    marks = (mark for field in fields if field is not None for mark in field.metadata)
    instead = next((mark.instead for mark in marks if isinstance(mark, Deprecated)), "")
    return f"; the field is deprecated, {instead}" if instead else ""


def unknown_fields(model: type[BaseModel], content: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    """Yield the paths in `content` that are not fields of their message, unless their value is null."""
    if isinstance(content, list):
        for index, item in enumerate(content):
            yield from unknown_fields(model, item, (*path, index))
    if not isinstance(content, dict):
        return
    fields = fields_of(model)
    for name, value in content.items():
        if value is None:
            continue
        if name not in fields:
            yield (*path, name)
            continue
        for _, inner in inner_models(fields[name].annotation):
            if get_origin(_plain(fields[name].annotation)) is not Mapping:
                yield from unknown_fields(inner, value, (*path, name))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _plain(annotation: Any) -> Any:
    """Return the annotation without Annotated and without `| None`, where that leaves one type."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        members = [each for each in get_args(annotation) if each is not type(None)]
        if len(members) == 1:
            return _plain(members[0])
    return annotation


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the plain types that an annotation allows."""
    plain = _plain(annotation)
    if get_origin(plain) in (Union, UnionType):
        for each in get_args(plain):
            yield from _members(each)
    else:
        yield plain


def _items(annotation: Any) -> Iterator[tuple[str, Any]]:
    """Yield the types of the elements of a list or mapping, each with the suffix
    that marks an element in a place."""
    for member in _members(annotation):
        origin, arguments = get_origin(member), get_args(member)
        if origin in (tuple, list) and arguments:
            yield "[]", arguments[0]
        elif origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
            yield "[]", arguments[1]


def inner_models(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models of a field: with "" the model of its value, with "[]" that of its items."""
    for member in _members(annotation):
        if _is_model(member):
            yield "", member
    for suffix, item in _items(annotation):
        for deeper, inner in inner_models(item):
            yield suffix + deeper, inner


def _annotations_at(model: type[BaseModel], path: FieldPath) -> list[Any]:
    found: list[Any] = [model]
    for step in path:
        deeper: list[Any] = []
        for each in found:
            if _is_model(each):
                field = fields_of(each).get(step) if isinstance(step, str) else None
                if field is not None:
                    deeper.extend(_members(field.annotation))
            else:
                for _, item in _items(each):
                    deeper.extend(_members(item))
        found = deeper
    return found
