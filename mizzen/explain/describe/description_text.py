"""A description as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mizzen.explain.describe.description import Description
from mizzen.explain.printable import printable

_MOST_ENDPOINTS: Final = 20


def description_text(description: Description) -> str:
    """Return the description: facts, ports, endpoints, rules, and probable mistakes."""
    return "".join(f"{printable(line)}\n" for line in _lines(description))


def _lines(description: Description) -> Iterator[str]:
    yield f"{description.kind} {description.name}{_from(description.origins)}"
    facts = (("addresses", ", ".join(description.addresses)), *description.facts)
    yield from _columns([("  ", title, text) for title, text in facts if text])
    yield ""
    yield "ports" if description.ports else "ports: none"
    yield from _columns(
        [
            (
                "  ",
                str(each.number),
                each.protocol,
                f"of {each.service}" if each.service else "",
                f"to port {each.target}" if each.target else "",
                f"takes {each.takes}",
                f"called in {each.called}" if each.called else "",
                f"for {each.hosts}" if each.hosts else "",
            )
            for each in description.ports
        ]
    )
    if description.kind == "service":
        yield ""
        yield from _endpoints(description)
    yield ""
    yield "rules" if description.rules else "rules: none"
    for rule in description.rules:
        yield f"   {rule.kind} {rule.name}: {rule.what}{_from(rule.origins)}"
        yield from (f"      {part.words}{_from(part.origins)}" for part in rule.parts)
    yield ""
    yield "what is odd" if description.odd else "what is odd: nothing"
    for odd in description.odd:
        yield f"   {', '.join(odd.origins)}: {f'{odd.code} ' if odd.code else ''}{odd.message}"


def _endpoints(description: Description) -> Iterator[str]:
    found = description.endpoints
    yield f"endpoints: {len(found) or 'none'}"
    yield from _columns(
        [
            (
                "  ",
                each.address,
                each.workload,
                f"subset {', '.join(each.subsets)}" if each.subsets else "",
                "" if each.health == "HEALTHY" else each.health,
                each.locality,
                _from(each.origins).strip(),
            )
            for each in found[:_MOST_ENDPOINTS]
        ]
    )
    if len(found) > _MOST_ENDPOINTS:
        yield f"   and {len(found) - _MOST_ENDPOINTS} more (-o json lists all)"


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows with aligned columns; a column without text is left out."""
    columns = [column for column in zip(*rows, strict=True) if any(column)]
    widths = [max(map(len, column)) for column in columns]
    for row in zip(*columns, strict=True):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()[1:]


def _from(origins: Iterable[str]) -> str:
    places = ", ".join(origins)
    return f"  from {places}" if places else ""
