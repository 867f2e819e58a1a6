"""A connected proxy as the control plane knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mizzen import xds
from mizzen.config import Diagnostic
from mizzen.mesh.proxy.node import Proxy


@dataclass(slots=True)
class LiveProxy:
    """A proxy that is connected, or was a moment ago; `snapshot` is its last snapshot.

    `translated` is the last translation for it, without certificates. `diagnostics` are about documents that
    could not be translated for it as written; `fault` is why the translation fails as a whole.
    """

    proxy: Proxy
    snapshot: xds.Snapshot | None = None
    translated: xds.Snapshot | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    fault: str = ""


Made = tuple[xds.Snapshot, tuple[Diagnostic, ...]]
"""The snapshot of a proxy, and diagnostics about documents that could not be translated for it as written."""

Maker = Callable[[LiveProxy], Made | None]
"""Makes the snapshot and diagnostics of a proxy; None if that fails."""
