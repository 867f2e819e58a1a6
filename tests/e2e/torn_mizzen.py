"""Mizzen that reads the marker of a live mesh before files that were written earlier. A scan of all files
does so if it began before they were written."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from mizzen.cli.main import app
from mizzen.sources.files import Batch, FileSource
from tests import forked_mizzen

_MARKER = "zz-settled.yaml"
_scan = FileSource.settled_scan
_new: set[str] = set()
_missed: set[str] = set()


def _torn_scan(self: FileSource, now: float | None = None, only: Iterable[str] | None = None) -> Batch:
    if only is None:
        return _scan(self, now)
    marker = {name for name in only if name.endswith(_MARKER)}
    _new.update(set(only) - marker)
    if not marker:
        return {}
    if not _new:
        marker |= _missed
        _missed.clear()
    _missed.update(_new)
    _new.clear()
    return _scan(self, now, only=marker)


def _main() -> None:
    FileSource.settled_scan = _torn_scan  # type: ignore[method-assign]
    app()


launch = partial(forked_mizzen.launch, main=_main)
