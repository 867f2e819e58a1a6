"""The well-formed parts of a document that is malformed elsewhere.

A field of the wrong type must not hide other mistakes: the document is read again without its malformed
fields, and the rules of its kind check the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from mizzen.config.document import FieldPath
from mizzen.config.schema_errors import as_written

Model = TypeVar("Model", bound=BaseModel)

_ROUNDS: Final = 4
"""How often fields are taken out; a document that is still malformed then is wrong throughout."""


def without_malformed(model: type[Model], content: Any) -> tuple[Model, frozenset[FieldPath]] | None:
    """Return what `model` can type of `content`, and the paths of the fields that
    were taken out; None if nothing is left."""
    removed: set[FieldPath] = set()
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(content), frozenset(removed)
        except ValidationError as error:
            paths = {
                _removable(content, as_written(content, each)) for each in error.errors(include_url=False)
            }
            if () in paths:
                return None
            removed |= paths
            content = _without(content, paths)
    return None


def _removable(content: Any, path: FieldPath) -> FieldPath:
    """Return the path of the field to take out. Items of lists stay, since paths count them."""
    value = content
    there: list[bool] = []
    for step in path:
        found = isinstance(value, Mapping) and step in value
        there.append(found)
        if found or (isinstance(value, list) and isinstance(step, int)):
            value = value[step]
        else:
            break  # a required field that is missing: what lacks it goes
    while there and not there[-1]:
        there.pop()
    return path[: len(there)]


def _without(content: Any, paths: Iterable[FieldPath]) -> Any:
    """Return `content` without the fields at `paths`, none of them empty."""
    inner: dict[Any, list[FieldPath]] = {}
    for path in paths:
        inner.setdefault(path[0], []).append(path[1:])
    if isinstance(content, Mapping):
        return {
            key: _without(value, inner[key]) if key in inner else value
            for key, value in content.items()
            if () not in inner.get(key, ())
        }
    if isinstance(content, list):
        return [
            _without(value, inner[index]) if index in inner else value for index, value in enumerate(content)
        ]
    return content
