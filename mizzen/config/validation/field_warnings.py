"""Finding the fields of a spec that get a warning, by their paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mizzen.config.models.base import IstioModel, camel_case
from mizzen.config.models.fields import LeafField
from mizzen.config.validation.place import Place


@dataclass(slots=True)
class _Branch:
    warning: str = ""
    below: dict[str, _Branch] = field(default_factory=dict)


class FieldWarnings:
    """Fields of one kind with a warning each: a tree of paths, so that only those
    parts of a spec are looked at."""

    def __init__(self, warnings: Mapping[tuple[str, ...], str]) -> None:
        """`warnings` are by the attributes that lead from the spec to a field,
        without the steps into lists."""
        self._root = _Branch()
        for attributes, warning in warnings.items():
            branch = self._root
            for attribute in attributes:
                branch = branch.below.setdefault(attribute, _Branch())
            branch.warning = warning

    def given_in(self, spec: IstioModel, place: Place) -> Iterator[tuple[Place, str]]:
        """Yield place and warning of each such field that is given in `spec`, which is at `place`."""
        return _given(spec, self._root, place)


def _given(model: IstioModel, branch: _Branch, place: Place) -> Iterator[tuple[Place, str]]:
    given = model.model_fields_set
    for attribute, below in branch.below.items():
        if attribute not in given:
            continue
        here = place / camel_case(attribute)
        if below.warning:
            yield here, below.warning
        value = getattr(model, attribute)
        if isinstance(value, IstioModel):
            yield from _given(value, below, here)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, IstioModel):
                    yield from _given(item, below, here / index)


def by_attributes(warnings: Mapping[str, str], fields: Sequence[LeafField]) -> dict[tuple[str, ...], str]:
    """Return warnings by attributes for warnings by path (`spec.http[].mirror`, a leaf or a message).

    Raises KeyError for a path that is not the path of a field.
    """
    known: dict[str, tuple[str, ...]] = {}
    for leaf in fields:
        steps = leaf.path.split(".")[1:]
        for depth in range(1, len(steps) + 1):
            path = ".".join(["spec", *steps[:depth]])
            known[path] = known[path.removesuffix("[]")] = leaf.attributes[:depth]
    return {known[path]: warning for path, warning in warnings.items()}
