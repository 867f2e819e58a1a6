"""Prints tables for people at a terminal, and as JSON or YAML for programs."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

from mizzen.explain.printable import printable

if TYPE_CHECKING:
    from mizzen.explain.tables.row import Row

_PIPED_WIDTH = 1000
_MOST_PLACES = 2


class Output(StrEnum):
    """The form of a table."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def print_values(content: Any, output: Output) -> None:
    """Print plain values as JSON or YAML, with escapes for what is invisible."""
    if output is Output.JSON:
        print_json(content)
        return
    import yaml

    def dumped(*, allow_unicode: bool) -> str:
        return yaml.dump(
            content, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=allow_unicode, width=120
        )

    text = dumped(allow_unicode=True)
    typer.echo(text if _hides_nothing(text) else dumped(allow_unicode=False), nl=False)


def print_json(content: Any) -> None:
    """Print plain values as JSON, with escapes for what is invisible."""
    import json

    text = json.dumps(content, indent=2, ensure_ascii=False)
    if not _hides_nothing(text):
        text = "".join(
            letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text
        )
    typer.echo(text)


def _hides_nothing(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def print_rows(rows: Sequence[Row], output: Output, kind: str) -> None:
    """Print the rows of a table of `kind`."""
    if output is not Output.TABLE:
        print_values([{**row.cells, "FROM": list(row.origins), **_state(row)} for row in rows], output)
    elif not rows:
        typer.echo(f"no {kind}", err=True)
    else:
        with_state = any(row.state for row in rows)
        columns = [*rows[0].cells, *(["STATE"] if with_state else []), "FROM"]
        lines = (
            [*row.cells.values(), *([row.state or "-"] if with_state else []), _places(row)] for row in rows
        )
        print_table(columns, lines)


def print_table(columns: Iterable[str], lines: Iterable[Iterable[str]]) -> None:
    """Print a table as wide as the terminal; outside of a terminal, long lines are not broken."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=not sys.stdout.isatty())
    for line in lines:
        table.add_row(*(Text(printable(cell)) for cell in line))
    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(file=io.StringIO(), width=_PIPED_WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(table)
    typer.echo("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()), nl=False)


def _state(row: Row) -> dict[str, str]:
    return {"STATE": row.state} if row.state else {}


def _places(row: Row) -> str:
    more = len(row.origins) - _MOST_PLACES
    return ", ".join(row.origins[:_MOST_PLACES]) + (f" +{more}" if more > 0 else "") or "-"


def printable_values(content: Any) -> Any:
    """Return plain values with `printable` texts: some of them come from proxies."""
    if isinstance(content, str):
        return printable(content)
    if isinstance(content, list):
        return [printable_values(each) for each in content]
    if isinstance(content, dict):
        return {printable(name): printable_values(each) for name, each in content.items()}
    return content
