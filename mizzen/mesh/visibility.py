"""To whom a service or a rule is exported (`exportTo`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PUBLIC: Final = "*"
PRIVATE: Final = "."
HIDDEN: Final = "~"

EVERYWHERE: Final = frozenset({PUBLIC})
NOWHERE: Final = frozenset({HIDDEN})


def visible_to(export_to: Sequence[str], default: Sequence[str], namespace: str) -> frozenset[str]:
    """Return who sees something of `namespace`: `{"*"}`, `{"~"}`, or the namespaces' names.

    `default` replaces an empty `export_to`. A `*` anywhere wins, else a `~` anywhere hides; `.` is the own
    namespace (Istio's pkg/config/visibility and PushContext.IsServiceVisible).
    """
    entries = export_to or default or (PUBLIC,)
    if PUBLIC in entries:
        return EVERYWHERE
    if HIDDEN in entries:
        return NOWHERE
    return frozenset(namespace if entry == PRIVATE else entry for entry in entries)


def is_visible(seen_by: frozenset[str], namespace: str) -> bool:
    """Return True if something that is visible to `seen_by` is visible in `namespace`."""
    return PUBLIC in seen_by or namespace in seen_by
