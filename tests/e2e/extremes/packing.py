"""Many cases in one mesh: what all of them together break nothing with, none of them does.

A case that may hide others is judged alone: one that decides whether a document takes effect, or which of its
parts do (hosts, selectors, modes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from tests.e2e.extremes.base_mesh import Document, Path, at, with_own_copies
from tests.e2e.extremes.cases import Case

_SOLITARY: Final = frozenset(
    [
        "host",
        "hosts",
        "gateways",
        "labels",
        "selector",
        "matchLabels",
        "exportTo",
        "namespace",
        "name",
        "workloadSelector",
        "number",
        "protocol",
        "resolution",
        "location",
        "mode",
        "metadata",
        "address",
        "addresses",
        "simple",
        "captureMode",
        "bind",
        "sourceLabels",
        "subset",
        "sourceNamespace",
        "port",
        "sniHosts",
        "type",
        "enabled",
        "from",
        "to",
        "clusterIP",
        "profile",
    ]
)
_MOST: Final = 40


def packed(cases: Iterable[Case], base: Mapping[str, Document]) -> Iterator[tuple[Case, ...]]:
    """Yield the cases in groups that can be judged at once; no two of a group are in each other's way."""
    groups: list[dict[Path, Case]] = []
    for case in cases:
        edit = _edit(case, base)
        if edit is None or len(case.fields) != 1 or _SOLITARY.intersection(case.path):
            yield (case,)
            continue
        place: Path = (case.document, *edit[0])
        group = next((each for each in groups if not any(_meet(place, other) for other in each)), None)
        if group is None:
            group = {}
            groups.append(group)
        group[place] = case
        if len(group) == _MOST:
            groups.remove(group)
            yield tuple(group.values())
    yield from (tuple(group.values()) for group in groups)


def together(cases: Sequence[Case], base: Mapping[str, Document]) -> dict[str, Document]:
    """Return the documents that the cases change, by name."""
    if len(cases) == 1:
        return {cases[0].document: cases[0].text}
    documents: dict[str, Document] = {}
    for case in cases:
        edit = _edit(case, base)
        assert edit is not None, case
        path, value = edit
        documents[case.document] = _written(documents.get(case.document, base[case.document]), path, value)
    return documents


def halves(cases: Sequence[Case]) -> Iterator[tuple[Case, ...]]:
    """Yield the cases in two parts."""
    middle = len(cases) // 2
    yield tuple(cases[:middle])
    yield tuple(cases[middle:])


def _edit(case: Case, base: Mapping[str, Document]) -> tuple[Path, Any] | None:
    """Return what to write where, to make of the base document that of the case: at the field, or at its
    message where other fields had to give way. None if that is not enough."""
    document = base[case.document]
    for path in (case.path, case.path[:-1]):
        try:
            value = at(case.text, path)
        except (KeyError, IndexError):
            return None
        if path and _written(document, path, value) == case.text:
            return path, value
    return None


def _written(document: Document, path: Path, value: Any) -> Document:
    made = with_own_copies(document, path)
    at(made, path[:-1])[path[-1]] = value
    return made


def _meet(one: Path, other: Path) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]
