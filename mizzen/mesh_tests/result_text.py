"""The result of a test as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.explain.answer import NOTHING, Answer, Hop, share_text
from mizzen.explain.answer_text import TITLES, lost_text, origins_text
from mizzen.explain.printable import printable
from mizzen.mesh_tests.under_test import Result

_MARGIN = "  "
_TOLD = ("token", "policy", "secret")


def result_text(result: Result) -> str:
    """Return the outcome of a test: one line if it passed; else also what was expected, what happened, and
    which steps led there."""
    return "\n".join(map(printable, _lines(result))) + "\n"


def failure_text(result: Result) -> str:
    """Return the text of `result_text` below its first line."""
    return "\n".join(map(printable, _details(result))) + "\n"


def _lines(result: Result) -> Iterator[str]:
    word = "ok   " if result.passed else "ERROR" if result.error else "FAIL "
    yield f"{word} {result.placed.origin} {result.placed.test.name}"
    yield from _details(result)


def _details(result: Result) -> Iterator[str]:
    if result.error:
        path = "gateway" if result.placed.test.gateway else "from"
        yield f"{_MARGIN}{result.placed.caller_origin}: {path}: {result.error}"
        return
    if result.differs:
        yield f"{_MARGIN}differs   {result.differs}"
    if result.passed:
        return
    yield f"{_MARGIN}expected  {result.expected}"
    yield f"{_MARGIN}happened  {result.wrong}"
    if result.answer is not None:
        yield from _way(result.answer)


def _way(answer: Answer) -> Iterator[str]:
    """Yield the steps of a call, a line each: what was chosen, and its place in the files."""
    where = "at" if answer.hops and answer.hops[0].side == "gateway" else "from"
    yield f"{_MARGIN}call      {answer.question} {where} {answer.caller}"
    for name, value in answer.headers:
        yield f"{_MARGIN}          {name}: {value}"
    for note in answer.notes:
        yield f"{_MARGIN}note      {note}"
    for hop in answer.hops:
        yield from _steps(hop)


def _steps(hop: Hop) -> Iterator[str]:
    yield f"{_MARGIN}{TITLES[hop.side]}, {hop.proxy}: {hop.conclusion}"
    for step in hop.steps:
        if step.depth:
            continue
        share = f"{share_text(step.share)} to " if step.share is not None and step.share < 1 else ""
        yield f"{_MARGIN * 2}{step.kind:<14}{share}{step.name}{origins_text(step.origins, '  from ')}"
        if step.kind in _TOLD:
            yield from (f"{_MARGIN * 2}{'':<14}{detail}" for detail in step.details)
        if step.lost is not None and (step.kind in (*_TOLD, "route") or step.name == NOTHING):
            yield f"{_MARGIN * 2}{'':<14}{lost_text(step.lost)}"
