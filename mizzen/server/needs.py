"""Protocols of the parts that the control plane uses."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Protocol

from mizzen import xds
from mizzen.config import Diagnostic
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.fault_search import Withheld
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation


class Translating(Protocol):
    """What the control plane needs of `mizzen.translator.translation.Translation`."""

    def of(self, proxy: Proxy) -> Translation:
        """Return the translation from which `proxy` is served now."""

    def knows(self, proxy: Proxy) -> bool:
        """Return True if `translate` is cheap for this proxy, because one of its class was translated
        already."""

    def prepare(self, proxy: Proxy) -> Iterator[None]:
        """Do the slow part of the first `translate` for a class of proxies, in short steps."""

    def concerned(self) -> Iterator[Proxy]:
        """Yield, once each, the proxies whose translation may have changed since the last call. For all other
        proxies `translate` returns the same as before. There may be a long time between two proxies, and the
        other methods may be called meanwhile."""

    def forget_unused(self, proxies: Iterable[Proxy]) -> Iterator[None]:
        """Forget, in short steps, what none of these proxies needs."""

    def translate(self, proxy: Proxy) -> tuple[xds.Snapshot, tuple[Diagnostic, ...]]:
        """Return all current resources of `proxy`, and diagnostics about what could not be served as written.

        Unchanged parts are the same objects as before.
        """

    @property
    def profiles(self) -> int:
        """Number of classes of proxies; no rule can tell proxies of one class apart."""

    @property
    def withheld(self) -> tuple[Withheld, ...]:
        """The documents that cannot be translated for at least one proxy."""

    def overcome(self) -> tuple[str, ...]:
        """Return the tracebacks of failures since the last call that affected no proxy, once each."""

    def update(self, mesh: Mesh, delta: MeshDelta) -> None:
        """Use a new snapshot of the mesh from now on. `delta` is empty if only lines moved: that concerns no
        proxy."""


class Groups(Protocol):
    """What the control plane needs of `xds.Server`."""

    def set_snapshot(self, group: Hashable, snapshot: xds.Snapshot) -> None:
        """Replace the snapshot of a group; only the difference is sent."""


class PushTracker(Protocol):
    """Tracks one change until all proxies have answered it (`mizzen.server.convergence.Push`)."""

    def handed(self, group: Hashable, changes: Iterable[tuple[str, Iterable[str]]]) -> None:
        """Record that the change was handed over for a proxy: the changed types, each with its names."""

    async def answered(self, groups: Iterable[Hashable], seconds: float) -> None:
        """Wait until these groups have answered the change, at most `seconds`."""

    def done(self) -> None:
        """The change was handed over for all proxies."""
