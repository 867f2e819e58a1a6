"""Tables of the workloads' certificates, for the status and `mizzen ca`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_SHOWN: Final = 20


def certificates(state: Mapping[str, Any]) -> Group | None:
    """Return a row for each identity, in the order of renewal, and what is wrong with the authority."""
    held = state.get("certificates")
    if not held or not (held["workloads"] or held["authority"]["warnings"]):
        return None
    lines: list[Any] = [Text("\nCERTIFICATES", style="bold")]
    lines += [
        Padding(Text(warning, style="bold red"), (0, 0, 0, 2), expand=False)
        for warning in held["authority"]["warnings"]
    ]
    former = [each["renews_in_seconds"] for each in held["workloads"] if each["of_former_authority"]]
    if former:
        said = (
            f"the authority has changed: {len(former)} of {len(held['workloads'])} are still to be replaced, "
            f"the last in {span(max(former))}"
        )
        lines.append(Padding(Text(said, style="yellow"), (0, 0, 0, 2), expand=False))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("IDENTITY", "UNTIL", "RENEWS IN"):
        table.add_column(column, overflow="fold")
    rows = sorted(held["workloads"], key=lambda each: each["renews_in_seconds"])
    for each in rows[:_SHOWN]:
        table.add_row(Text(each["identity"]), each["until"], span(each["renews_in_seconds"]))
    if rows:
        lines.append(Padding(table, (0, 0, 0, 2), expand=False))
    if len(rows) > _SHOWN:
        more = f"  ... and {len(rows) - _SHOWN} more (-o json has them all)"
        lines.append(Text(more, style="dim"))
    return Group(*lines)


def span(seconds: float) -> str:
    """Return a time as 5s, 3m05s, 7h12m or 2d03h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"
