"""What the control plane needs of the parts around it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Protocol

from mizzen import xds
from mizzen.config import Diagnostic
from mizzen.mesh.delta import MeshDelta
from mizzen.mesh.fault_search import Withheld
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation


class Translating(Protocol):
    """What the control plane needs of `mizzen.translator.translation.Translation`."""

    def of(self, proxy: Proxy) -> Translation:
        """Return the translation that `proxy` is served from now."""

    def knows(self, proxy: Proxy) -> bool:
        """Return whether `translate` costs little for this proxy: there is one of its kind already."""

    def prepare(self, proxy: Proxy) -> Iterator[None]:
        """Do in short steps what takes long in the first `translate` for a kind of proxies."""

    def concerned(self) -> Iterator[Proxy]:
        """Yield, once, the proxies that may have to be sent something else since this was last asked. Others
        that were translated for are not: `translate` returns for them what it did. It may take long between
        two of them, and the other methods may be called meanwhile."""

    def forget_unused(self, proxies: Iterable[Proxy]) -> Iterator[None]:
        """Forget, in short steps, what only other proxies than these need."""

    def translate(self, proxy: Proxy) -> tuple[xds.Snapshot, tuple[Diagnostic, ...]]:
        """Return everything that `proxy` is sent now, and what could not be served as it was written.

        What did not change is the same objects as before.
        """

    @property
    def profiles(self) -> int:
        """How many kinds of proxies there are that no rule can tell apart."""

    @property
    def withheld(self) -> tuple[Withheld, ...]:
        """The documents that cannot be translated for some proxy."""

    def overcome(self) -> tuple[str, ...]:
        """Return where it failed since last asked although nobody lost anything by it."""

    def update(self, mesh: Mesh, delta: MeshDelta) -> None:
        """Go over to another snapshot of the mesh."""


class Groups(Protocol):
    """What the control plane needs of `xds.Server`."""

    def set_snapshot(self, group: Hashable, snapshot: xds.Snapshot) -> None:
        """Give a group another snapshot; only what differs is sent."""


class Following(Protocol):
    """Follows one change to its end (`mizzen.server.convergence.Push`)."""

    def handed(self, group: Hashable, changes: Iterable[tuple[str, Iterable[str]]]) -> None:
        """The change was handed over for a proxy: the types that it touches, each with the changed names."""

    async def answered(self, groups: Iterable[Hashable], seconds: float) -> None:
        """Wait until these groups have done what they were handed, at most for so long."""

    def done(self) -> None:
        """It was handed over for all."""
