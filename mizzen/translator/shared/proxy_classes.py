"""Classes of proxies, and the resources that the proxies of a class share. A change updates them once for
all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final
from weakref import WeakValueDictionary

from mizzen.config.faults import traceback_and_kind
from mizzen.config.mesh_config import MeshConfig
from mizzen.incremental import Database, Lookup, Table
from mizzen.mesh.changes.named_difference import NamedDifference
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.scope.reach import Reach, Reaches
from mizzen.mesh.scope.sidecars import SidecarConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.shared.label_layers import LabelLayers
from mizzen.translator.shared.label_rules import LabelRules
from mizzen.translator.shared.laid_over import LaidOver
from mizzen.translator.shared.outbound import OutboundResources
from mizzen.translator.shared.part_origins import OutboundParts
from mizzen.translator.shared.resources import ClassResources, SharedResources
from mizzen.translator.tls.secret_references import SecretNames

_UNUSED_UPDATES: Final = 32
"""Number of updates of the mesh after which a class is forgotten if no proxy needed it."""

_TURNS: Final = 16
"""Number of updates of the mesh within which every class goes over to the current one, also if no difference
concerns it: so at most so many outdated meshes are in memory."""


_Settings = tuple[SidecarConfig | None, MeshConfig]
"""The Sidecar of a class, and the mesh's configuration with the ProxyConfig of its proxies."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ProxyClass:
    """Proxies that share all outbound resources: they have one profile and, for gateways, the same
    auto-passthrough hosts. Equal classes are the same object.

    `wider` is the class without labels, whose resources are the base for the layers of this class; None if
    this class has its own resources without layers.
    """

    profile: OutboundProfile
    hosts: tuple[str, ...]
    wider: ProxyClass | None = None

    @property
    def whole(self) -> ProxyClass:
        """The class that has resources without layers: this one, or the wider one."""
        return self if self.wider is None else self.wider


@dataclass(slots=True)
class _Live:
    """The shared resources of a class of proxies, the layers over them, and the number of updates since they
    were last needed."""

    resources: OutboundResources
    layers: LabelLayers[ProxyClass]
    unused: int = 0


class ProxyClasses:
    """The shared resources of each class of proxies, as last computed. A database's queries read them."""

    def __init__(self, database: Database, mesh: Mesh, memo: Memo) -> None:
        self._mesh = mesh
        self._memo = memo
        self._rules = LabelRules(mesh)
        self._known: WeakValueDictionary[object, ProxyClass] = WeakValueDictionary()
        self._live: dict[ProxyClass, _Live] = {}
        self._reaches: Reaches[ProxyClass] = Reaches()
        self._gateways: dict[ProxyClass, None] = {}
        # The classes that differences may concern since their resources were updated. All others are up to
        # date, though their mesh may be an earlier one.
        self._behind: dict[ProxyClass, None] = {}
        self._layers_behind: dict[ProxyClass, None] = {}
        # All classes, those first that have waited longest for their turn.
        self._turns: dict[ProxyClass, None] = {}
        self._layered: dict[ProxyClass, None] = {}
        self._building: dict[ProxyClass, OutboundResources] = {}
        self._failed: dict[ProxyClass, str] = {}
        # Tracebacks of errors that nobody was told yet: of classes that were not tried again, and of others.
        self._untold: dict[ProxyClass, str] = {}
        self._overcome: list[str] = []
        self._shared = Table[ProxyClass, SharedResources](database, "resources that proxies share")
        self._laid = Table[ProxyClass, LaidOver](database, "resources of proxies with labels")
        # Beside these, what each proxy's own resources and secrets depend on: few changes reach those.
        self._settings = Table[ProxyClass, _Settings](database, "settings of a class of proxies")
        self._secrets = Table[ProxyClass, SecretNames](database, "secrets of a class of proxies")
        self._laid_secrets = Table[ProxyClass, SecretNames | None](database, "secrets of proxies with labels")
        self._wider: Lookup[LabelRules, OutboundProfile, OutboundProfile] = Lookup(
            database, "profile without labels", self._rules, LabelRules.shared_profile
        )

    def __len__(self) -> int:
        """Return the number of classes."""
        return sum(1 + len(live.layers) for live in self._live.values())

    # What queries read.

    def of(self, profile: OutboundProfile, hosts: tuple[str, ...]) -> ProxyClass:
        """Return the class of a profile's proxies; `hosts` are a gateway's auto-passthrough hosts."""
        wider = self._wider(profile)
        return self._class(profile, hosts, None if wider == profile else wider)

    def _class(
        self, profile: OutboundProfile, hosts: tuple[str, ...], wider: OutboundProfile | None
    ) -> ProxyClass:
        found = self._known.get((profile, hosts, wider))
        if found is None:
            whole = None if wider is None else self._class(wider, hosts, None)
            found = self._known[profile, hosts, wider] = ProxyClass(profile, hosts, whole)
        return found

    def whole(self, proxy_class: ProxyClass) -> SharedResources:
        """Return the shared resources without layers."""
        return self._shared[proxy_class.whole]

    def resources(self, proxy_class: ProxyClass) -> SharedResources | ClassResources:
        """Return the resources that all proxies of a class are sent."""
        wider = proxy_class.wider
        if wider is None:
            return self._shared[proxy_class]
        return self._laid[proxy_class].on(self._shared[wider], self._memo)

    def settings(self, proxy_class: ProxyClass) -> _Settings:
        """Return the Sidecar of a class, and the mesh's configuration with the ProxyConfig of its proxies."""
        return self._settings[proxy_class.whole]

    def secrets(self, proxy_class: ProxyClass) -> SecretNames:
        """Return the names of the secrets that the resources of a class refer to."""
        laid = None if proxy_class.wider is None else self._laid_secrets[proxy_class]
        return self._secrets[proxy_class.whole] if laid is None else laid

    # Incremental updates.

    def renew(self, mesh: Mesh) -> Exception | None:
        """Replace the mesh by one with the same settings. Resources are updated when they are needed.

        If it cannot be told which classes the difference concerns, it counts as concerning all; return the
        error.
        """
        before, self._mesh = self._mesh, mesh
        self._failed.clear()
        rules, self._rules = self._rules, self._rules.renewed(mesh)
        self._wider.renew(self._rules)
        self._forget_unused(relabelled=rules is not self._rules)
        overcome = None
        try:
            difference = NamedDifference.between(before, mesh)
        except Exception as error:
            difference, overcome = NamedDifference(everyone=True, gateways=True), error
        self._behind.update(dict.fromkeys(difference.sidecars(self._reaches)))
        if difference.gateways:
            self._behind.update(self._gateways)
        for proxy_class in tuple(islice(self._turns, -(-len(self._turns) // _TURNS))):
            self._turns[proxy_class] = self._turns.pop(proxy_class)
            self._advance(proxy_class)
        return overcome

    def _advance(self, proxy_class: ProxyClass) -> None:
        """Let a class that is up to date go over to the current mesh."""
        live = self._live[proxy_class]
        if proxy_class in self._behind or live.resources.mesh is self._mesh:
            return
        if proxy_class.profile.is_router:
            self._behind[proxy_class] = None
        else:
            live.resources.advance(self._mesh)

    def _forget_unused(self, *, relabelled: bool) -> None:
        """Forget classes that no proxy needed for a while, and layers that none needs now. `relabelled`:
        rules that look at labels changed."""
        # No call for each class: there may be very many, and a change concerns few.
        read_over = self._laid.keys_read
        for live in self._live.values():
            live.unused += 1
        unused = [proxy_class for proxy_class, live in self._live.items() if live.unused > _UNUSED_UPDATES]
        unused += self._layered.keys() - read_over
        if relabelled:
            unused += [each for each in self._layered if not self._is_layered(each)]
        for proxy_class in unused:
            self._drop(proxy_class)
        if unused:
            self._forget_scopes()

    def _is_layered(self, proxy_class: ProxyClass) -> bool:
        """Return whether the proxies of a class still differ from the wider one by their labels alone. With a
        different Sidecar they belong to a different class, and the layer would be wrong."""
        wider = proxy_class.wider
        return wider is not None and self._wider.known(proxy_class.profile) == wider.profile

    def changed(self) -> Iterator[None]:
        """Update the resources that queries read, in steps. Discard those whose update fails, so that their
        readers run again."""
        read = self._shared.keys_read
        for proxy_class, live in self._live.items():
            if proxy_class in read:
                live.unused = 0
        for proxy_class in tuple({**self._behind, **self._layers_behind}):
            if not self._shared.is_read(proxy_class):
                continue
            if self._is_brought(proxy_class):
                self._layers_behind.pop(proxy_class, None)
                for each in self._live[proxy_class].layers.behind:
                    self._is_brought(each)
            yield

    def _is_brought(self, proxy_class: ProxyClass) -> bool:
        try:
            self._bring(proxy_class)
        except Exception as error:
            self._discard(proxy_class)
            self._failed.pop(proxy_class, None)
            self._untold[proxy_class] = traceback_and_kind(error)
            return False
        return True

    def overcome(self) -> list[str]:
        """Return the tracebacks of errors since the last call that a second attempt did not have."""
        found, self._overcome = self._overcome, []
        return found

    def bring(self, proxy_class: ProxyClass) -> None:
        """Update the shared resources of a class. Their readers run again if they differ now."""
        if self.is_current(proxy_class):
            return
        if proxy_class.wider is not None:
            self._bring(proxy_class.wider)
        self._bring(proxy_class)

    def is_current(self, proxy_class: ProxyClass) -> bool:
        """Return whether the shared resources of a class exist and are up to date."""
        whole = proxy_class.whole
        live = self._live.get(whole)
        if live is None or whole in self._behind or whole not in self._shared.members:
            return False
        live.unused = 0
        return whole is proxy_class or live.layers.is_current(proxy_class)

    def _bring(self, proxy_class: ProxyClass) -> None:
        if proxy_class in self._failed:
            raise RuntimeError(self._failed[proxy_class])
        untold = self._untold.pop(proxy_class, None)
        try:
            if proxy_class.wider is None:
                self._build_or_update(proxy_class)
            else:
                self._advance(proxy_class.wider)
                layers = self._live[proxy_class.wider].layers
                laid = self._laid[proxy_class] = layers.bring(proxy_class, proxy_class.profile)
                self._laid_secrets[proxy_class] = laid.secrets
                self._layered[proxy_class] = None
        except Exception as error:
            # For the next proxies of the class. The exception itself would keep an outdated mesh in memory.
            self._failed[proxy_class] = f"{type(error).__name__}: {error}"
            raise
        if untold is not None:
            self._overcome.append(untold)

    def _build_or_update(self, proxy_class: ProxyClass) -> None:
        live = self._live.get(proxy_class)
        if live is None:
            made = OutboundResources(self._mesh, proxy_class.profile, proxy_class.hosts, self._memo)
            deque(made.build(), maxlen=0)
            live = self._begin(proxy_class, made)
        live.unused = 0
        if proxy_class in self._behind:
            step = live.resources.update(self._mesh)
            live.layers.note_step(step, self._rules)
            if live.layers.behind:
                self._layers_behind[proxy_class] = None
            del self._behind[proxy_class]
            self._turns[proxy_class] = self._turns.pop(proxy_class)
            self._find_reach(proxy_class, live)
        elif proxy_class in self._shared.members:
            return
        shared = self._shared[proxy_class] = live.resources.shared
        self._settings[proxy_class] = shared.sidecar, shared.mesh_config
        self._secrets[proxy_class] = shared.secrets

    def knows(self, proxy_class: ProxyClass) -> bool:
        """Return whether the resources of a class exist, or are known to fail."""
        return self.has(proxy_class) or proxy_class in self._failed or proxy_class.whole in self._failed

    def has(self, proxy_class: ProxyClass) -> bool:
        """Return whether the resources of a class exist."""
        return proxy_class.whole in self._live

    def prepare(self, proxy_class: ProxyClass) -> Iterator[None]:
        """Do the costly work of the first `bring` in small steps. The mesh may be replaced between the steps.
        Errors are not raised here, but by `bring`."""
        whole = proxy_class.whole
        building = self._building[whole] = OutboundResources(
            self._mesh, whole.profile, whole.hosts, self._memo
        )
        try:
            yield from building.build()
            if self._building.get(whole) is building and whole not in self._live:
                self._begin(whole, building)
        except Exception as error:
            # `bring` will fail as well, and its caller searches for the cause; if it does not, this is told.
            self._untold[whole] = traceback_and_kind(error)
        finally:
            if self._building.get(whole) is building:
                del self._building[whole]

    def take_over(self, proxy_class: ProxyClass, other: ProxyClasses) -> None:
        """Copy the resources of a class from `other`, whose mesh may differ."""
        whole = proxy_class.whole
        known = other._live.get(other._class(whole.profile, whole.hosts, None))
        if known is None or whole in self._live:
            return
        if known.resources.mesh.settings is self._mesh.settings:
            self._begin(whole, known.resources.copy())

    def _begin(self, proxy_class: ProxyClass, resources: OutboundResources) -> _Live:
        """Keep the resources of a class up to date from now on. Their mesh may be a different one."""
        live = self._live[proxy_class] = _Live(resources, LabelLayers(resources, self._rules))
        self._turns[proxy_class] = None
        if resources.mesh is not self._mesh:
            self._behind[proxy_class] = None
        self._find_reach(proxy_class, live)
        return live

    def _find_reach(self, proxy_class: ProxyClass, live: _Live) -> None:
        if proxy_class.profile.is_router:
            self._gateways[proxy_class] = None
        else:
            reach = Reach.of(proxy_class.profile.namespace, live.resources.scope.sidecar)
            self._reaches.put(proxy_class, reach)

    def forget(self, proxy_class: ProxyClass) -> None:
        """Forget the resources of a class, so that they are built again the next time."""
        for each in (proxy_class, proxy_class.whole):
            self._drop(each)
            self._failed.pop(each, None)
            self._untold.pop(each, None)

    def keep(self, classes: Iterable[ProxyClass]) -> None:
        """Forget everything that none of these classes needs."""
        wanted = {each for proxy_class in classes for each in (proxy_class, proxy_class.whole)}
        gone = [*(self._live.keys() - wanted)]
        for live in self._live.values():
            gone += [proxy_class for proxy_class in live.layers if proxy_class not in wanted]
        for proxy_class in gone:
            self._drop(proxy_class)
        for proxy_class in self._untold.keys() - wanted:
            self._overcome.append(self._untold.pop(proxy_class))
        self._forget_scopes(wanted)

    def _drop(self, proxy_class: ProxyClass) -> None:
        live = self._live.get(proxy_class.whole)
        if live is None:
            return
        layers = (proxy_class,) if proxy_class.wider is not None else tuple(live.layers)
        for each in layers:
            live.layers.forget(each)
            self._layered.pop(each, None)
            self._discard(each)
        if proxy_class.wider is None:
            self._reaches.discard(proxy_class)
            for members in (self._live, self._gateways, self._behind, self._layers_behind, self._turns):
                members.pop(proxy_class, None)
            self._discard(proxy_class)

    def _discard(self, proxy_class: ProxyClass) -> None:
        for table in (self._shared, self._settings, self._secrets, self._laid, self._laid_secrets):
            table.discard(proxy_class)

    def _forget_scopes(self, more: Iterable[ProxyClass] = ()) -> None:
        layers = (proxy_class for live in self._live.values() for proxy_class in live.layers)
        classes = (*self._live, *layers, *self._building, *more)
        self._mesh.forget_scopes(proxy_class.profile for proxy_class in classes)

    def parts(self, proxy_class: ProxyClass, route_configuration: str = "") -> OutboundParts:
        """Return the parts of the resources of a class, which must be up to date."""
        self._advance(proxy_class.whole)
        live = self._live[proxy_class.whole]
        layer = live.layers.get(proxy_class)
        return live.resources.parts if layer is None else layer.parts(route_configuration)
