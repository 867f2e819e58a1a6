"""Cases: a document of the base mesh with one field at an extreme, or one thing in it twice, empty or away.

The fields are those of the models themselves, so a new one is drawn by itself. Its message must stand in the
base mesh (`unreached` says which do not).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mizzen.config.kinds import KINDS_BY_NAME
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models.base import IstioModel
from mizzen.config.models.fields import LeafField, leaf_fields
from mizzen.config.schema_fields import fields_of, models_at
from tests.e2e.extremes.base_mesh import MESH_CONFIG, Document, Path, at, nodes, with_own_copies
from tests.e2e.extremes.extreme_values import drawn, extremes

KINDS_DRAWN: Final = (
    *(
        "VirtualService",
        "DestinationRule",
        "Gateway",
        "ServiceEntry",
        "Sidecar",
        "WorkloadEntry",
        MESH_CONFIG,
    ),
    *("Service", "Endpoints", "EndpointSlice", "Pod", "Secret"),
)
_METADATA: Final = tuple(
    LeafField(f"metadata.{name}", ("metadata", name), kind)
    for name, kind in (
        ("name", "string"),
        ("namespace", "string"),
        ("labels[]", "map"),
        ("annotations[]", "map"),
    )
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is written in place of a document: `document` names it, `path` and `value` say what is different.

    `fields` are the fields by their names alone, of which `path` leads to the last; none where the structure
    is changed.
    """

    document: str
    path: Path
    value: Any
    text: Document
    fields: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of the document."""
        return self.document.partition(" ")[0]

    def __str__(self) -> str:
        value = repr(self.value)
        others = f", with {', '.join(self.fields[:-1])} drawn too" if len(self.fields) > 1 else ""
        shown = value if len(value) <= 120 else f"{value[:100]}... ({len(value)} characters)"
        return f"{self.document}: {'.'.join(map(str, self.path))} = {shown}{others}"


def leaves(kind: str) -> tuple[LeafField, ...]:
    """Return all leaf fields of a kind, with paths from the top of the document."""
    if kind == MESH_CONFIG:
        return tuple(_from_the_top(MeshConfig, ""))
    (known,) = KINDS_BY_NAME[kind]
    return (*_METADATA, *_from_the_top(known.model, "spec" if known.has_spec else ""))


def _from_the_top(model: Any, path: str) -> Iterator[LeafField]:
    for leaf in leaf_fields(model, path, into_maps=True):
        yield LeafField(leaf.path.removeprefix("."), leaf.attributes, leaf.type, leaf.deprecated)


def unreached(base: Mapping[str, Document]) -> list[str]:
    """Return the leaf fields whose message stands nowhere in the base mesh."""
    return [
        f"{kind} {leaf.path}"
        for kind in KINDS_DRAWN
        for leaf in leaves(kind)
        if not any(_place(document, leaf) is not None for _, document in _of_kind(base, kind))
    ]


def cases_of_fields(base: Mapping[str, Document]) -> Iterator[Case]:
    """Yield every leaf field at every extreme of its type, in the first document that has its message."""
    for kind in KINDS_DRAWN:
        for leaf in leaves(kind):
            yield from cases_of_leaf(base, kind, leaf)


def cases_of_leaf(
    base: Mapping[str, Document], kind: str, leaf: LeafField, generator: random.Random | None = None
) -> Iterator[Case]:
    """Yield the field at every extreme of its type, in an order that `generator` draws."""
    for name, document in _of_kind(base, kind):
        place = _place(document, leaf)
        if place is not None:
            values = list(_values(leaf, _standing(document, place)))
            if generator is not None:
                generator.shuffle(values)
            for value in values:
                yield _case(name, document, place, value, leaf)
            return


def cases_of_structure(base: Mapping[str, Document]) -> Iterator[Case]:
    """Yield each document with one thing in it away, empty, twice or many times."""
    for name, document in base.items():
        for path, value in nodes(document):
            if path[0] in ("apiVersion", "kind"):
                continue
            for changed in (None, *_emptied(value), *_multiplied(value)):
                yield _case(name, document, path, changed, None)


def drawn_case(base: Mapping[str, Document], random: random.Random) -> Case:
    """Return a case that no list has: up to three fields of a document, at extremes or beyond them."""
    while True:
        kind = random.choice(KINDS_DRAWN)
        name, document = random.choice(_of_kind(base, kind))
        reached = [(leaf, place) for leaf in leaves(kind) if (place := _place(document, leaf)) is not None]
        text = document
        case: Case | None = None
        for leaf, place in random.sample(reached, min(len(reached), random.randint(1, 3))):
            try:
                standing = _standing(text, place)
            except (KeyError, IndexError, TypeError):
                continue  # an earlier field took its place away
            if random.random() < 0.5:
                value = random.choice(list(_values(leaf, standing)))
            else:
                value = _of_shape(leaf, standing, drawn(_element_type(leaf, standing), random))
            earlier = case.fields if case is not None else ()
            case = _case(name, text, place, value, leaf)
            case = replace(case, fields=(*earlier, leaf.path))
            text = case.text
        if case is not None:
            return case


def _of_kind(base: Mapping[str, Document], kind: str) -> list[tuple[str, Document]]:
    return [(name, document) for name, document in base.items() if name.partition(" ")[0] == kind]


def _place(document: Document, leaf: LeafField) -> Path | None:
    """Return where the field is, or would be, in a document; None if its message is not there.

    Of a list the first element is taken that has the message.
    """
    *steps, last = leaf.path.split(".")

    def search(value: Any, index: int, path: Path) -> Path | None:
        if index == len(steps):
            return (*path, last.removesuffix("[]")) if isinstance(value, dict) else None
        name = steps[index].removesuffix("[]")
        if not isinstance(value, dict) or name not in value:
            return None
        inner = value[name]
        if not steps[index].endswith("[]"):
            return search(inner, index + 1, (*path, name))
        items: Iterable[tuple[str | int, Any]] = (
            inner.items() if isinstance(inner, dict) else enumerate(inner)
        )
        found = (search(each, index + 1, (*path, name, step)) for step, each in items)
        return next((each for each in found if each is not None), None)

    return search(document, 0, ())


def _standing(document: Document, path: Path) -> Any:
    parent = at(document, path[:-1])
    return parent.get(path[-1]) if isinstance(parent, dict) else parent[path[-1]]


def _element_type(leaf: LeafField, standing: Any) -> str:
    if leaf.type != "map":
        return leaf.type
    numbers = isinstance(standing, dict) and any(isinstance(each, int) for each in standing.values())
    return "uint32" if numbers else "string"


def _values(leaf: LeafField, standing: Any) -> Iterator[Any]:
    kind = _element_type(leaf, standing)
    for value in extremes(kind):
        yield _of_shape(leaf, standing, value)
    if leaf.type == "map":
        example = next(iter((standing or {}).values()), "a")
        for key in extremes("string"):
            yield {**(standing or {}), key: example}


def _of_shape(leaf: LeafField, standing: Any, value: Any) -> Any:
    """Return the value as a list or a map of one, where the field is one."""
    if leaf.type == "map":
        return {**(standing or {}), next(iter(standing or {}), "x-a"): value}
    return [value] if leaf.path.endswith("[]") else value


def _case(name: str, document: Document, path: Path, value: Any, leaf: LeafField | None) -> Case:
    text = with_own_copies(document, path)
    parent = at(text, path[:-1])
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
        _without_alternatives(name, text, path)
    return Case(name, path, value, text, (leaf.path,) if leaf else ())


def _without_alternatives(name: str, text: Document, path: Path) -> None:
    """Take away what excludes the field in a oneof."""
    kind = name.partition(" ")[0]
    model, start = (
        (MeshConfig, 0)
        if kind == MESH_CONFIG
        else (KINDS_BY_NAME[kind][0].model, int(KINDS_BY_NAME[kind][0].has_spec))
    )
    for index in range(start, len(path)):
        for message in models_at(model, path[start:index]):
            if not issubclass(message, IstioModel):
                continue
            names = {
                field: alias
                for alias, info in fields_of(message).items()
                for field in _attributes(message, info)
            }
            for members in message.oneofs:
                aliases = {names[each] for each in members}
                if path[index] in aliases:
                    for other in aliases - {path[index]}:
                        at(text, path[:index]).pop(other, None)


def _attributes(message: Any, info: Any) -> Iterator[str]:
    yield from (attribute for attribute, field in message.model_fields.items() if field is info)


def _emptied(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list) and value:
        yield type(value)()


def _multiplied(value: Any) -> Iterator[Any]:
    if isinstance(value, list) and value:
        yield [*value, *value]
        yield value[:1] * 300
        if isinstance(value[0], dict):
            # Many that are told apart, so that what only counts them lets them pass.
            yield [_told_apart(value[0], number) for number in range(300)]
    elif isinstance(value, dict) and value and all(isinstance(each, str | int) for each in value.values()):
        name, example = next(iter(value.items()))
        yield {**value, **{f"{name}{number}": example for number in range(300)}}


def _told_apart(value: Document, number: int) -> Document:
    changed = copy.deepcopy(value)
    if isinstance(changed.get("name"), str):
        changed["name"] = f"{changed['name'][:40]}-{number}"
    for field in ("number", "port"):
        if isinstance(changed.get(field), int):
            changed[field] = 20_000 + number
    if isinstance(changed.get("port"), dict):
        changed["port"] = _told_apart(changed["port"], number)
    if isinstance(changed.get("address"), str):
        changed["address"] = f"10.5.{number // 250}.{number % 250 + 1}"
    return changed
