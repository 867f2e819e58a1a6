"""Finding the fields of a spec that get a warning, by their paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mizzen.config.document import FieldPath
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
        for path, warning in _given(spec, self._root):
            here = place
            for step in path:
                here /= step
            yield here, warning


def _given(model: IstioModel, branch: _Branch) -> Iterator[tuple[FieldPath, str]]:
    """Yield path and warning of each field below `model`. Paths are made last, as most have no warning."""
    given = model.model_fields_set
    for attribute, below in branch.below.items():
        if attribute not in given:
            continue
        if below.warning:
            yield (camel_case(attribute),), below.warning
        if not below.below:
            continue
        value = getattr(model, attribute)
        if isinstance(value, IstioModel):
            for path, warning in _given(value, below):
                yield (camel_case(attribute), *path), warning
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, IstioModel):
                    for path, warning in _given(item, below):
                        yield (camel_case(attribute), index, *path), warning


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
