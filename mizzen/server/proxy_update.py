"""The update of a proxy after a change."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from mizzen import xds
from mizzen.config import Diagnostic
from mizzen.translator.departing import with_departing


@dataclass(frozen=True, slots=True)
class ProxyUpdate:
    """The update to send to a proxy. `snapshot` is None if nothing changed, or if translation failed.

    `changes` are the changed types, each with its names. `later` replaces `snapshot` when no sidecar calls
    any more what only `snapshot` has; None if there is no such second step.
    """

    key: Hashable
    diagnostics: tuple[Diagnostic, ...] | None = None
    snapshot: xds.Snapshot | None = None
    changes: tuple[tuple[str, Iterable[str]], ...] = ()
    later: xds.Snapshot | None = None

    def touches(self, *type_urls: str) -> bool:
        """Return True if the update changes resources of one of these types."""
        return any(type_url in type_urls for type_url, _ in self.changes)


def proxy_update(
    key: Hashable,
    old: xds.Snapshot,
    new: xds.Snapshot,
    diagnostics: tuple[Diagnostic, ...],
    *,
    overlapping: bool = False,
) -> ProxyUpdate:
    """Compare two snapshots. The collections cache the difference, so the streams need not compare again.

    With `overlapping` the proxy keeps, for a while, what accepts calls in `old` and is not in `new`.
    """
    union = with_departing(old, new) if overlapping else new
    changes: list[tuple[str, Iterable[str]]] = []
    same = True
    for type_url in xds.type_urls.PUSH_ORDER:
        was, now = old.collection(type_url), union.collection(type_url)
        if now is not was:
            same = False
            if changed := now.since(was).changed:
                changes.append((type_url, changed))
    if same:
        return ProxyUpdate(key, diagnostics)
    return ProxyUpdate(key, diagnostics, union, tuple(changes), new if union is not new else None)
