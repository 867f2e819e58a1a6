"""Kinds of proxies, and the resources that the proxies of a kind share. A change updates them once for
all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from mizzen.incremental import Database, Lookup, Table
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.label_layers import LabelLayers
from mizzen.translator.label_rules import LabelRules
from mizzen.translator.laid_over import NOTHING_LAID_OVER, LaidOver
from mizzen.translator.outbound import OutboundResources
from mizzen.translator.part_origins import OutboundParts
from mizzen.translator.shared_resources import SharedResources

_UNUSED_UPDATES: Final = 32
"""Number of updates of the mesh after which a kind is forgotten if no proxy needed it."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Kind:
    """Proxies that share all outbound resources: they have one profile and, for gateways, the same
    auto-passthrough hosts. Equal kinds are the same object.

    `wider` is the kind without labels, whose resources are the base for the layers of this kind; None if this
    kind has its own resources without layers.
    """

    profile: OutboundProfile
    hosts: tuple[str, ...]
    wider: Kind | None = None

    @property
    def whole(self) -> Kind:
        """The kind that has resources without layers: this one, or the wider one."""
        return self if self.wider is None else self.wider


@dataclass(slots=True)
class _Live:
    """The shared resources of a kind of proxies, the layers over them, and the number of updates since they
    were last needed."""

    resources: OutboundResources
    layers: LabelLayers[Kind]
    unused: int = 0


class Kinds:
    """The shared resources of each kind of proxies, as last computed. A database's queries read them."""

    def __init__(self, database: Database, mesh: Mesh, memo: Memo) -> None:
        self._mesh = mesh
        self._memo = memo
        self._rules = LabelRules(mesh)
        self._known: WeakValueDictionary[object, Kind] = WeakValueDictionary()
        self._live: dict[Kind, _Live] = {}
        self._building: dict[Kind, OutboundResources] = {}
        self._failed: dict[Kind, str] = {}
        self._shared = Table[Kind, SharedResources](database, "resources that proxies share")
        self._laid = Table[Kind, LaidOver](database, "resources of proxies with labels")
        self._wider: Lookup[LabelRules, OutboundProfile, OutboundProfile] = Lookup(
            database, "profile without labels", self._rules, LabelRules.shared_profile
        )

    def __len__(self) -> int:
        """Return the number of kinds."""
        return sum(1 + len(live.layers) for live in self._live.values())

    # What queries read.

    def of(self, profile: OutboundProfile, hosts: tuple[str, ...]) -> Kind:
        """Return the kind of a profile's proxies; `hosts` are a gateway's auto-passthrough hosts."""
        wider = self._wider(profile)
        return self._kind(profile, hosts, None if wider == profile else wider)

    def _kind(self, profile: OutboundProfile, hosts: tuple[str, ...], wider: OutboundProfile | None) -> Kind:
        found = self._known.get((profile, hosts, wider))
        if found is None:
            whole = None if wider is None else self._kind(wider, hosts, None)
            found = self._known[profile, hosts, wider] = Kind(profile, hosts, whole)
        return found

    def whole(self, kind: Kind) -> SharedResources:
        """Return the shared resources without layers."""
        return self._shared[kind.whole]

    def laid_over(self, kind: Kind) -> LaidOver:
        """Return the layers of a kind over its shared resources."""
        return NOTHING_LAID_OVER if kind.wider is None else self._laid[kind]

    # Incremental updates.

    def renew(self, mesh: Mesh) -> None:
        """Replace the mesh by one with the same settings. Resources are updated when they are needed."""
        self._mesh = mesh
        self._failed.clear()
        self._rules = self._rules.renewed(mesh)
        self._wider.renew(self._rules)
        for live in self._live.values():
            live.unused += 1
        unused = [kind for kind, live in self._live.items() if live.unused > _UNUSED_UPDATES]
        for live in self._live.values():
            unused += [kind for kind in live.layers if not self._laid.is_read(kind)]
        for kind in unused:
            self._drop(kind)
        if unused:
            self._forget_scopes()

    def changed(self) -> Iterator[None]:
        """Update the resources that queries read, in steps. Discard those whose update fails, so that their
        readers run again."""
        for kind, live in tuple(self._live.items()):
            if self._shared.is_read(kind) and self._is_brought(kind):
                for each in live.layers.behind:
                    self._is_brought(each)
                yield

    def _is_brought(self, kind: Kind) -> bool:
        try:
            self._bring(kind)
        except Exception:
            self._discard(kind)
            self._failed.pop(kind, None)
            return False
        return True

    def bring(self, kind: Kind) -> None:
        """Update the shared resources of a kind. Their readers run again if they differ now."""
        if self._is_current(kind):
            return
        if kind.wider is not None:
            self._bring(kind.wider)
        self._bring(kind)

    def _is_current(self, kind: Kind) -> bool:
        live = self._live.get(kind.whole)
        if live is None or live.resources.mesh is not self._mesh or kind.whole not in self._shared.values_now:
            return False
        live.unused = 0
        return kind.wider is None or live.layers.is_current(kind)

    def _bring(self, kind: Kind) -> None:
        if kind in self._failed:
            raise RuntimeError(self._failed[kind])
        try:
            if kind.wider is None:
                self._build_or_update(kind)
            else:
                self._laid[kind] = self._live[kind.wider].layers.bring(kind, kind.profile)
        except Exception as error:
            # For the next proxies of the kind. The exception itself would keep an outdated mesh in memory.
            self._failed[kind] = f"{type(error).__name__}: {error}"
            raise

    def _build_or_update(self, kind: Kind) -> None:
        live = self._live.get(kind)
        if live is None:
            made = OutboundResources(self._mesh, kind.profile, kind.hosts, self._memo)
            deque(made.build(), maxlen=0)
            live = self._live[kind] = self._living(made)
        live.unused = 0
        if live.resources.mesh is not self._mesh:
            live.resources.update(self._mesh)
            live.layers.note_step(self._rules)
        elif kind in self._shared.values_now:
            return
        self._shared[kind] = live.resources.shared

    def knows(self, kind: Kind) -> bool:
        """Return whether the resources of a kind exist, or are known to fail."""
        return self.has(kind) or kind in self._failed or kind.whole in self._failed

    def has(self, kind: Kind) -> bool:
        """Return whether the resources of a kind exist."""
        return kind.whole in self._live

    def prepare(self, kind: Kind) -> Iterator[None]:
        """Do the costly work of the first `bring` in small steps. The mesh may be replaced between the steps.
        Errors are not raised here, but by `bring`."""
        whole = kind.whole
        building = self._building[whole] = OutboundResources(
            self._mesh, whole.profile, whole.hosts, self._memo
        )
        try:
            yield from building.build()
            if self._building.get(whole) is building:
                self._live.setdefault(whole, self._living(building))
        except Exception:
            return  # `bring` will fail as well, and its caller searches for the cause
        finally:
            if self._building.get(whole) is building:
                del self._building[whole]

    def take_over(self, kind: Kind, other: Kinds) -> None:
        """Copy the resources of a kind from `other`, whose mesh may differ."""
        whole = kind.whole
        known = other._live.get(other._kind(whole.profile, whole.hosts, None))
        if known is None or whole in self._live:
            return
        if known.resources.mesh.settings is self._mesh.settings:
            self._live[whole] = self._living(known.resources.copy())

    def _living(self, resources: OutboundResources) -> _Live:
        return _Live(resources, LabelLayers(resources, self._rules))

    def forget(self, kind: Kind) -> None:
        """Forget the resources of a kind, so that they are built again the next time."""
        for each in (kind, kind.whole):
            self._drop(each)
            self._failed.pop(each, None)

    def keep(self, kinds: Iterable[Kind]) -> None:
        """Forget everything that none of these kinds needs."""
        wanted = {each for kind in kinds for each in (kind, kind.whole)}
        gone = [*(self._live.keys() - wanted)]
        for live in self._live.values():
            gone += [kind for kind in live.layers if kind not in wanted]
        for kind in gone:
            self._drop(kind)
        self._forget_scopes(wanted)

    def _drop(self, kind: Kind) -> None:
        live = self._live.get(kind.whole)
        if live is None:
            return
        layers = (kind,) if kind.wider is not None else tuple(live.layers)
        for each in layers:
            live.layers.forget(each)
            self._laid.discard(each)
        if kind.wider is None:
            del self._live[kind]
            self._shared.discard(kind)

    def _discard(self, kind: Kind) -> None:
        if kind.wider is None:
            self._shared.discard(kind)
        else:
            self._laid.discard(kind)

    def _forget_scopes(self, more: Iterable[Kind] = ()) -> None:
        layers = (kind for live in self._live.values() for kind in live.layers)
        kinds = (*self._live, *layers, *self._building, *more)
        self._mesh.forget_scopes(kind.profile for kind in kinds)

    def parts(self, kind: Kind, route_configuration: str = "") -> OutboundParts:
        """Return the parts of the resources of a kind, which must be up to date."""
        live = self._live[kind.whole]
        layer = live.layers.get(kind)
        return live.resources.parts if layer is None else layer.parts(route_configuration)
