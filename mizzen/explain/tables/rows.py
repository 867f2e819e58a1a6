"""The tables by their kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mizzen.explain.tables.clusters import cluster_rows
from mizzen.explain.tables.endpoints import endpoint_rows
from mizzen.explain.tables.listeners import listener_rows
from mizzen.explain.tables.routes import route_rows
from mizzen.explain.tables.row import Filter, Row
from mizzen.explain.tables.secrets import secret_rows
from mizzen.explain.tables.sent import Sent

_ROWS: Mapping[str, Callable[[Sent], Iterator[Row]]] = {
    "clusters": cluster_rows,
    "endpoints": endpoint_rows,
    "listeners": listener_rows,
    "routes": route_rows,
    "secrets": secret_rows,
}
KINDS = tuple(_ROWS)
"""The kinds of tables."""


def rows(kind: str, sent: Sent, wanted: Filter | None = None) -> tuple[Row, ...]:
    """Return the rows of the table `kind`, one of KINDS; with a filter, only matching rows."""
    chosen = wanted or Filter()
    return tuple(row for row in _ROWS[kind](sent) if chosen.lets_through(row))
