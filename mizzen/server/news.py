"""What is new for a proxy after a change."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from mizzen import xds
from mizzen.config import Diagnostic


@dataclass(frozen=True, slots=True)
class News:
    """What a proxy is to be given; no snapshot: it has that already, or there was a fault."""

    key: Hashable
    findings: tuple[Diagnostic, ...] | None = None
    snapshot: xds.Snapshot | None = None
    changes: tuple[tuple[str, Iterable[str]], ...] = ()


def news(key: Hashable, old: xds.Snapshot, new: xds.Snapshot, findings: tuple[Diagnostic, ...]) -> News:
    """Compare two snapshots. The collections remember what differs, so the streams need not compare again."""
    changes: list[tuple[str, Iterable[str]]] = []
    same = True
    for type_url in xds.type_urls.PUSH_ORDER:
        was, now = old.collection(type_url), new.collection(type_url)
        if now is not was:
            same = False
            if changed := now.since(was).changed:
                changes.append((type_url, changed))
    return News(key, findings) if same else News(key, findings, new, tuple(changes))
