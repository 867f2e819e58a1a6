"""Names that come near one that nothing has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST = 3
_BEGINNING = 4


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of `known` that `name` may have been meant for, the nearest first: those that are
    spelt alike, else those that begin alike. Who writes one label means the first label of a name."""
    names: dict[str, str] = {}
    for each in sorted(known):
        names.setdefault(each if "." in name else each.partition(".")[0], each)
    near = difflib.get_close_matches(name, names, n=_MOST, cutoff=0.6)
    if not near:
        beginning = name.partition(".")[0][:_BEGINNING]
        near = [each for each in names if beginning and each.startswith(beginning)][:_MOST]
    return [names[each] for each in near]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean A or B?`, empty if nothing comes near."""
    near = near_names(name, known)
    return f"did you mean {' or '.join(near)}?" if near else ""
