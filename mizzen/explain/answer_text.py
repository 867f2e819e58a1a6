"""An answer as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mizzen.explain.answer import Answer, Hop, Lost, Step, share_text
from mizzen.explain.printable import printable

_MOST_PLACES = 3
_WIDTH = 14
_MARGIN = "   "
TITLES: Final = {"client": "sidecar of the client", "gateway": "gateway", "server": "sidecar of the server"}
"""The title of the proxy at each side of a call."""


def answer_text(answer: Answer) -> str:
    """Return the answer: the question, then each proxy with its steps, one below the other."""
    return "\n".join(_lines(answer)) + "\n"


def _lines(answer: Answer) -> Iterator[str]:
    where = "at" if answer.hops and answer.hops[0].side == "gateway" else "from"
    yield printable(f"{answer.question} {where} {answer.caller}")
    for name, value in answer.headers:
        yield printable(f"{_MARGIN}{name}: {value}")
    for note in answer.notes:
        yield printable(f"{_MARGIN}note: {note}")
    for number, hop in enumerate(answer.hops, 1):
        yield ""
        yield from map(printable, _hop_lines(hop, number))


def _hop_lines(hop: Hop, number: int) -> Iterator[str]:
    yield f"{number}. {TITLES[hop.side]}, {hop.proxy} ({hop.address}): {hop.conclusion}"
    for step in hop.steps:
        yield from _step_lines(step)


def _step_lines(step: Step) -> Iterator[str]:
    share = f"{share_text(step.share)} to " if step.share is not None and step.share < 1 else ""
    head = f"{_MARGIN}{'  ' * step.depth}{step.kind:<{_WIDTH - 2 * step.depth}}"
    below = " " * len(head)
    if step.depth:
        details = f"  {', '.join(step.details)}" if step.details else ""
        yield f"{head}{step.name}{details}{origins_text(step.origins, '  from ')}"
        return
    yield f"{head}{share}{step.name}{origins_text(step.origins, '  from ')}"
    for detail in step.details:
        yield f"{below}{detail}"
    if step.refused:
        yield f"{below}ENVOY REJECTED IT: {step.refused}"
    if step.lost is not None:
        yield f"{below}{lost_text(step.lost)}"


def lost_text(lost: Lost) -> str:
    """Return a candidate that was not chosen, and why."""
    origins = origins_text(lost.origins, ", from ")
    if lost.condition == "order":
        return f"not {lost.name}{origins}: it matches too, but stands behind"
    found = f", found {lost.found}" if lost.found else ""
    return f"not {lost.name}{origins}: {lost.condition} wants {lost.wanted}{found}"


def origins_text(origins: tuple[str, ...], before: str) -> str:
    """Return places after the text `before`, or an empty text for no places; many are only counted."""
    if not origins:
        return ""
    more = len(origins) - _MOST_PLACES
    shown = ", ".join(origins[:_MOST_PLACES])
    return f"{before}{shown}{f' and {more} more' if more > 0 else ''}"
