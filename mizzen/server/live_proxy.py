"""A connected proxy as the control plane knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mizzen import xds
from mizzen.config import Diagnostic
from mizzen.mesh.proxy.node import Proxy


@dataclass(slots=True)
class LiveProxy:
    """A proxy that is connected, or was a moment ago; `snapshot` is what it was given last.

    `translated` is the last translation for it, without certificates. `findings` say what could not be
    translated for it as it was written; `fault` is why nothing can be.
    """

    proxy: Proxy
    snapshot: xds.Snapshot | None = None
    translated: xds.Snapshot | None = None
    findings: tuple[Diagnostic, ...] = ()
    fault: str = ""


Made = tuple[xds.Snapshot, tuple[Diagnostic, ...]]
"""What a proxy is sent, and what could not be translated for it as it was written."""

Maker = Callable[[LiveProxy], Made | None]
"""Makes that for a proxy; None if it cannot be made."""
