"""A plan as Markdown, for the comment of a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.plan.plan import Plan, Told
from mizzen.plan.plan_text import came_and_went, headline, proxies_words

_MOST_CHANGES = 100
"""A comment of GitHub holds 65,536 characters."""


def plan_markdown(plan: Plan) -> str:
    """Return the plan: a headline, what breaks, then the changes grouped by proxies."""
    return "".join(f"{line}\n" for line in _lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"**{_plain(headline(plan))}**"
    for word, names in came_and_went(plan):
        yield ""
        yield f"{word.capitalize()}: {_plain(names)}"
    if plan.refused:
        yield ""
        yield "### Clients speak what workloads refuse"
        yield ""
        yield from (f"* ⚠️ {_plain(each)}" for each in plan.refused)
    left = _MOST_CHANGES
    for group in plan.groups:
        if left <= 0:
            break
        yield ""
        yield f"### {_plain(proxies_words(group.proxies))}"
        yield ""
        yield "| | change | from | to |"
        yield "|---|---|---|---|"
        for told in group.changes[:left]:
            yield _row(told)
        left -= len(group.changes)
    if left < 0:
        yield ""
        yield f"And {-left} more changes."


def _row(told: Told) -> str:
    change = told.change
    words = f"{change.kind} {_code(change.name)}"
    if change.what:
        words += f": {_plain(change.what)}"
    words += "".join(f"<br>{_plain(detail)}" for detail in change.details)
    mark = "⚠️ " if change.breaks else ""
    before, after = (", ".join(map(_code, found[:3])) for found in (told.before, told.after))
    return f"| {mark}`{change.sign}` | {words} | {before} | {after} |"


def _code(text: str) -> str:
    """Return a name as code for the cell of a table."""
    return f"`{text.replace('|', chr(92) + '|').replace('`', ' ')}`"


def _plain(text: str) -> str:
    """Return a text with all signs of Markdown and HTML escaped."""
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())
