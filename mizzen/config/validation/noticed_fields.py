"""Finding the fields of a spec that something must be said about, by their paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mizzen.config.models.base import IstioModel, camel_case
from mizzen.config.models.fields import LeafField
from mizzen.config.validation.place import Place


@dataclass(slots=True)
class _Branch:
    notice: str = ""
    below: dict[str, _Branch] = field(default_factory=dict)


class NoticedFields:
    """Fields of one kind with a notice each: a tree of paths, so that just those parts are looked at."""

    def __init__(self, notices: Mapping[tuple[str, ...], str]) -> None:
        """Take the notices by the attributes that lead to a field from the spec, lists passed over."""
        self._root = _Branch()
        for attributes, notice in notices.items():
            branch = self._root
            for attribute in attributes:
                branch = branch.below.setdefault(attribute, _Branch())
            branch.notice = notice

    def given_in(self, spec: IstioModel, place: Place) -> Iterator[tuple[Place, str]]:
        """Yield place and notice of each noticed field that `spec`, found at `place`, gives."""
        return _given(spec, self._root, place)


def _given(model: IstioModel, branch: _Branch, place: Place) -> Iterator[tuple[Place, str]]:
    given = model.model_fields_set
    for attribute, below in branch.below.items():
        if attribute not in given:
            continue
        here = place / camel_case(attribute)
        if below.notice:
            yield here, below.notice
        value = getattr(model, attribute)
        if isinstance(value, IstioModel):
            yield from _given(value, below, here)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, IstioModel):
                    yield from _given(item, below, here / index)


def by_attributes(notices: Mapping[str, str], fields: Sequence[LeafField]) -> dict[tuple[str, ...], str]:
    """Turn notices by path (`spec.http[].mirror`, a leaf or a message) into notices by attributes.

    Raises KeyError for a path that no field has.
    """
    known: dict[str, tuple[str, ...]] = {}
    for leaf in fields:
        steps = leaf.path.split(".")[1:]
        for depth in range(1, len(steps) + 1):
            path = ".".join(["spec", *steps[:depth]])
            known[path] = known[path.removesuffix("[]")] = leaf.attributes[:depth]
    return {known[path]: notice for path, notice in notices.items()}
