"""A plan as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mizzen.explain.printable import printable
from mizzen.plan.plan import Plan, Told

_MOST_PROXIES = 3
_MOST_PLACES = 3
_MOST_CHANGES = 200


def plan_text(plan: Plan) -> str:
    """Return the plan: a headline, then the changes grouped by proxies."""
    return "".join(f"{printable(line)}\n" for line in _lines(plan))


def headline(plan: Plan) -> str:
    """Return in one line how much changes."""
    if plan.leaves_no_proxy:
        gone = _count(len(plan.departed), "proxy is", "proxies are")
        return f"no proxy is left: {gone} gone, and the new version declares none; this breaks everything"
    if plan.is_empty:
        return f"nothing changes for {_count(plan.proxies, 'proxy', 'proxies')}"
    proxies = _count(plan.proxies, "proxy", "proxies")
    text = f"{_count(len(plan.changes), 'change')} for {plan.changed} of {proxies}"
    broken = plan.breaks
    return f"{text}; {broken} {'breaks' if broken == 1 else 'break'} something" if broken else text


def proxies_words(names: tuple[str, ...]) -> str:
    """Return the proxies of a group in short form: `6 sidecars: a.default, b.default and 4 more`."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, rest = name.partition(" ")
        kinds.setdefault(kind, []).append(rest)
    return "; ".join(f"{_count(len(found), kind)}: {_list(found)}" for kind, found in sorted(kinds.items()))


def came_and_went(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield which proxies the files newly declare, no longer declare, and declare as gateways now."""
    made = plan.made_gateways
    for word, kind, names in (("new", "gateway", plan.arrived), ("gone", "sidecar", plan.departed)):
        others = tuple(each for each in names if each not in {f"{kind} {name}" for name in made})
        if others:
            yield word, proxies_words(others)
    if made:
        one = len(made) == 1
        yield (
            "now a gateway" if one else "now gateways",
            f"{_list(made)}, since a Gateway selects {'it' if one else 'them'}; the calls of "
            f"{'its sidecar' if one else 'their sidecars'} are not compared",
        )


def from_words(told: Told) -> str:
    """Return the lines of a change on both sides, or an empty text if none are known."""
    before, after = _places(told.before), _places(told.after)
    if before and after and before != after:
        return f"from {before} to {after}"
    return f"from {after or before}" if after or before else ""


def _lines(plan: Plan) -> Iterator[str]:
    yield headline(plan)
    yield from (f"{word}: {names}" for word, names in came_and_went(plan))
    if plan.refused:
        yield ""
        yield "clients speak what workloads refuse"
        yield from (f"! {each}" for each in plan.refused)
    for group in plan.groups:
        yield ""
        yield proxies_words(group.proxies)
        for told in group.changes[:_MOST_CHANGES]:
            yield from _change(told)
        if len(group.changes) > _MOST_CHANGES:
            yield f"  and {len(group.changes) - _MOST_CHANGES} more changes (-o json lists all)"


def _change(told: Told) -> Iterator[str]:
    change = told.change
    what = f": {change.what}" if change.what else ""
    mark = "!" if change.breaks else " "
    yield f"{mark} {change.sign} {change.kind} {change.name}{what}"
    yield from (f"      {detail}" for detail in change.details)
    if places := from_words(told):
        yield f"      {places}"


def _places(found: tuple[str, ...]) -> str:
    more = len(found) - _MOST_PLACES
    return ", ".join(found[:_MOST_PLACES]) + (f" and {more} more" if more > 0 else "")


def _list(names: Iterable[str]) -> str:
    found = list(names)
    more = len(found) - _MOST_PROXIES
    return ", ".join(found[:_MOST_PROXIES]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"
