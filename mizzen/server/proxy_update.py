"""The updates of proxies after a change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mizzen import xds
from mizzen.translator.departing import with_departing
from mizzen.xds.ordering import RETAINED


@dataclass(frozen=True, slots=True)
class ProxyUpdate:
    """What a proxy is sent instead of its previous snapshot.

    `changes` are the changed types, each with its names. `later` replaces `snapshot` when no sidecar calls
    any more what only `snapshot` has; None if there is no such second step.
    """

    snapshot: xds.Snapshot
    changes: tuple[tuple[str, Iterable[str]], ...]
    later: xds.Snapshot | None = None

    def touches(self, *type_urls: str) -> bool:
        """Return True if the update changes resources of one of these types."""
        return any(type_url in type_urls for type_url, _ in self.changes)


class ProxyUpdates:
    """The updates of one push, each made once for all proxies with the same snapshots.

    With `overlapping` a proxy keeps, for a while, what accepts calls in its old snapshot and is not in the
    new one.
    """

    def __init__(self, *, overlapping: bool = False) -> None:
        self._overlapping = overlapping
        self._made: dict[tuple[xds.Snapshot, xds.Snapshot], ProxyUpdate | None] = {}

    def between(self, old: xds.Snapshot, new: xds.Snapshot) -> ProxyUpdate | None:
        """Return the update from one snapshot to another; None if nothing changed."""
        if old is new:
            return None
        key = old, new
        if key not in self._made:
            self._made[key] = self._compare(old, new)
        return self._made[key]

    def _compare(self, old: xds.Snapshot, new: xds.Snapshot) -> ProxyUpdate | None:
        union = with_departing(old, new) if self._overlapping else new
        # The difference that the streams need: they do not compare again.
        types = union.since(old, RETAINED).types
        if not types:
            return None
        differing = [each for each in xds.type_urls.PUSH_ORDER if each in types]
        changed = [(each, union.collection(each).since(old.collection(each)).changed) for each in differing]
        changes = tuple([(type_url, names) for type_url, names in changed if names])
        return ProxyUpdate(union, changes, new if union is not new else None)
