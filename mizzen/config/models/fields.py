"""The fields of the models: every leaf of a kind's spec, with the name of its type in Istio's API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from mizzen.config.models.base import IstioModel, camel_case
from mizzen.config.models.types import Deprecated, ProtoType


@dataclass(frozen=True, slots=True)
class LeafField:
    """One leaf: `path` as Istio writes it (`spec.http[].match[].port`), and the `attributes` that lead to it.

    `type` is the name of the type in the API: a scalar, a wrapper message, `map`, or `enum A|B|C`; for
    Kubernetes' kinds it is the Python type's name, such as `int`. `[]` in the path marks lists and maps.
    `deprecated` says what to write instead, if the field is deprecated.
    """

    path: str
    attributes: tuple[str, ...]
    type: str
    deprecated: str = ""


def leaf_fields(
    model: type[IstioModel], path: str = "spec", *, into_maps: bool = False
) -> Iterator[LeafField]:
    """Yield every leaf field of `model`, in the order of definition, with paths that start with `path`.

    A map of messages is one leaf; with `into_maps`, the fields of its messages are leaves.
    """
    yield from _leaves(model, path, (), into_maps=into_maps)


def _leaves(
    model: type[IstioModel], path: str, attributes: tuple[str, ...], *, into_maps: bool
) -> Iterator[LeafField]:
    for attribute, field in model.model_fields.items():
        here = f"{path}.{field.alias or camel_case(attribute)}"
        steps = (*attributes, attribute)
        instead = next((mark.instead for mark in field.metadata if isinstance(mark, Deprecated)), "")
        in_oneof = any(attribute in members for members in model.oneofs)
        kind, element, marks = _element(field)
        inside = here + ("[]" if kind in ("list", "map") else "")
        is_message = isinstance(element, type) and issubclass(element, IstioModel)
        if kind == "map" and not (into_maps and is_message):
            yield LeafField(inside, steps, "map", instead)
        elif is_message:
            yield from _leaves(element, inside, steps, into_maps=into_maps)
        else:
            name = _type_name(element, marks, wrapped=kind == "optional" and not in_oneof)
            yield LeafField(inside, steps, name, instead)


def _element(field: FieldInfo) -> tuple[str, Any, tuple[Any, ...]]:
    """Return how a field holds its values (single, optional, list, map), the type of
    one value, and its marks."""
    annotation: Any = field.annotation
    origin = get_origin(annotation)
    if origin in (dict, Mapping):
        return "map", *_without_marks(get_args(annotation)[1])
    if origin is tuple:
        return "list", *_without_marks(get_args(annotation)[0])
    if origin in (Union, UnionType):
        (element,) = (member for member in get_args(annotation) if member is not type(None))
        return "optional", *_without_marks(element)
    return "single", annotation, tuple(field.metadata)


def _without_marks(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is Annotated:
        element, *marks = get_args(annotation)
        return element, tuple(marks)
    return annotation, ()


def _type_name(element: Any, marks: tuple[Any, ...], *, wrapped: bool) -> str:
    if isinstance(element, type) and issubclass(element, Enum):
        return "enum " + "|".join(member.value for member in element)
    if element is str:
        return "string"
    proto = next((mark for mark in marks if isinstance(mark, ProtoType)), None)
    if proto is None:  # a field of Kubernetes
        return " or ".join(member.__name__ for member in get_args(element) or (element,))
    return proto.wrapper if wrapped and proto.wrapper else proto.name
