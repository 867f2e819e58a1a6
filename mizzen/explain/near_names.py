"""Suggests similar names for a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST = 3
_MOST_LISTED = 5
_BEGINNING = 4


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the `known` names, the most similar first: names spelt alike, else names that
    begin alike. A `name` of one label is compared with the first label of each."""
    names: dict[str, str] = {}
    for each in sorted(known):
        names.setdefault(each if "." in name else each.partition(".")[0], each)
    near = difflib.get_close_matches(name, names, n=_MOST, cutoff=0.6)
    if not near:
        beginning = name.partition(".")[0][:_BEGINNING]
        near = [each for each in names if beginning and each.startswith(beginning)][:_MOST]
    return [names[each] for each in near]


def there_are(names: Iterable[str]) -> str:
    """Return `there is A`, or `there are A, B` with the first five names, or `there are none`."""
    known = sorted(names)
    more = len(known) - _MOST_LISTED
    listed = ", ".join(known[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
    return f"there {'is' if len(known) == 1 else 'are'} {listed or 'none'}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean A or B?`, or an empty text if no name is similar."""
    near = near_names(name, known)
    return f"did you mean {' or '.join(near)}?" if near else ""
