"""The proxies that a plan compares: those that the files declare."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Final

from mizzen.config.group_kinds import SECRET
from mizzen.explain.callers import NO_WORKLOAD, DeclaredCallers
from mizzen.explain.origins import PartOrigins
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.plan.side import Side
from mizzen.translator.on_demand import Difference, TranslationOnDemand
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Snapshot

_KINDS: Final = {"sidecar": "sidecar", "router": "gateway"}

_MOST_KINDS: Final = 50
"""With more classes of proxies a whole translation is cheaper: it shares all that does not depend on
labels."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One proxy before and after; None on a side where the files do not declare it.

    `differing` are the resources that differ. Proxies with the same differences and the same `kind` have the
    same consequences.
    """

    name: str
    old: Side | None
    new: Side | None
    differing: tuple[Difference, ...] = ()
    kind: Hashable = None


def proxy_name(proxy: Proxy) -> str:
    """Return a proxy's name with its kind: `sidecar reviews-v1.default`."""
    return f"{_KINDS[proxy.type]} {proxy.id}"


def fleet(
    old: Mesh,
    new: Mesh,
    nodes: Iterable[Proxy] = (),
    *,
    old_file: Callable[[str], str] = str,
    new_file: Callable[[str], str] = str,
) -> Iterator[Pair]:
    """Yield the proxies of both meshes, each with its resources on both sides.

    Only what may differ is translated. `nodes` are the proxies to compare, by default those that the
    documents imply. `old_file` and `new_file` turn the internal name of a file into the user's name for it.
    """
    chosen = tuple(nodes)
    declared = DeclaredCallers(old)
    before = {proxy_name(each): each for each in chosen or declared.all()}
    after = {proxy_name(each): each for each in chosen or DeclaredCallers(new, declared).all()}
    _keep_gateways(before, after)
    shown = old_file, new_file
    found: dict[str, Pair] = {}
    if old.settings is new.settings and set(old.configs(SECRET)) == set(new.configs(SECRET)):
        same = {name: proxy for name, proxy in before.items() if after.get(name) is proxy}
        found = _on_demand(old, new, same, shown)
    rest = before.keys() & after.keys() - found.keys()
    found |= _whole(old, new, before, after, rest, shown)
    for name in {**before, **after}:
        if name in found:
            yield found[name]
        else:
            nothing = Side(_Snapshot(Snapshot()))
            yield Pair(name, nothing if name in before else None, nothing if name in after else None)


def _keep_gateways(before: Mapping[str, Proxy], after: dict[str, Proxy]) -> None:
    """Put the gateways into `after` of which only the last Gateway goes: their Envoys go on, and serve less.

    A gateway goes with its workload. If no document declared one, it is taken to stay.
    """
    for name, proxy in before.items():
        if proxy.type != "router" or name in after:
            continue
        sidecar = f"{_KINDS['sidecar']} {proxy.id}"
        if sidecar in after or proxy.ip_addresses[0] == NO_WORKLOAD:
            after.pop(sidecar, None)
            after[name] = proxy


_Shown = tuple[Callable[[str], str], Callable[[str], str]]
"""For each side, the function from the internal name of a file to the user's name for it."""


def _on_demand(old: Mesh, new: Mesh, proxies: Mapping[str, Proxy], shown: _Shown) -> dict[str, Pair]:
    """Return the proxies whose differences can be found without a whole translation."""
    earlier = TranslationOnDemand(Translation(old))
    if len({earlier.proxy_class(proxy) for proxy in proxies.values()}) > _MOST_KINDS:
        return {}
    later = earlier.later(new)
    found = {}
    for name, proxy in proxies.items():
        differing = later.differing(proxy)
        if differing is None:
            continue
        was, now = (
            Side(
                _OnDemand(translation, proxy),
                partial(PartOrigins, translation, proxy),
                known_as,
                certified=translation.mesh.has_certificate(proxy),
            )
            for translation, known_as in zip((earlier, later), shown, strict=True)
        )
        # Inbound resources of a sidecar lead to its own workload, so they have no consequences.
        kind = earlier.proxy_class(proxy), proxy if proxy.type == "router" else None
        found[name] = Pair(name, was, now, differing, kind)
    return found


@dataclass(frozen=True, slots=True)
class _OnDemand:
    """The resources of a proxy, translated when they are asked for."""

    translation: TranslationOnDemand
    proxy: Proxy

    def get(self, type_url: str, name: str) -> Resource | None:
        return self.translation.resource(self.proxy, type_url, name)

    def all(self, type_url: str) -> Mapping[str, Resource]:
        return self.translation.all(self.proxy, type_url)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The resources of a proxy, all translated."""

    snapshot: Snapshot

    def get(self, type_url: str, name: str) -> Resource | None:
        return self.snapshot.get(type_url, name)

    def all(self, type_url: str) -> Mapping[str, Resource]:
        return self.snapshot.collection(type_url).resources


def _whole(
    old: Mesh,
    new: Mesh,
    before: Mapping[str, Proxy],
    after: Mapping[str, Proxy],
    names: Set[str],
    shown: _Shown,
) -> dict[str, Pair]:
    """Return proxies by whole translations of both meshes, the second an update of the first. Proxies that do
    not read what differs are not translated again."""
    if not names:
        return {}
    translation = Translation(old)
    former = translation.beside(old)  # only for the lines of what changes
    snapshots = {name: translation.snapshot(before[name]) for name in names}
    translation.update(new)
    concerned = set(translation.concerned())
    found = {}
    for name in names:
        proxy, snapshot = after[name], snapshots[name]
        find = _origins_before(former, translation, before[name]), partial(PartOrigins, translation, proxy)
        made = snapshot
        if proxy is not before[name] or proxy in concerned:
            made = translation.snapshot(proxy)
        certified = old.has_certificate(before[name]), new.has_certificate(proxy)
        found[name] = whole_pair(name, snapshot, made, find, shown, certified)
    return found


def whole_pair(
    name: str,
    old: Snapshot,
    new: Snapshot,
    origins: tuple[Callable[[], PartOrigins] | None, Callable[[], PartOrigins] | None] = (None, None),
    shown: _Shown = (str, str),
    certified: tuple[bool, bool] = (True, True),
) -> Pair:
    """Return the pair of a proxy with these snapshots; other arguments are those of `Side`, before and
    after."""
    was, now = (
        Side(_Snapshot(snapshot), find, known_as, certified=has)
        for snapshot, find, known_as, has in zip((old, new), origins, shown, certified, strict=True)
    )
    sent = tuple(each.collection(type_url) for each in (old, new) for type_url in type_urls.PUSH_ORDER)
    return Pair(name, was, now, tuple(_differing(old, new)), sent)


def _differing(old: Snapshot, new: Snapshot) -> Iterator[Difference]:
    for type_url in type_urls.PUSH_ORDER:
        was, now = old.collection(type_url), new.collection(type_url)
        if was is now or was.version == now.version:
            continue
        for name in was.resources.keys() | now.resources.keys():
            before, after = was.resources.get(name), now.resources.get(name)
            if before is not after and (before is None or after is None or before.version != after.version):
                yield before, after


def _origins_before(former: Translation, later: Translation, proxy: Proxy) -> Callable[[], PartOrigins]:
    """Return a function that finds the lines of the former resources, by going back from the `later` ones."""

    def find() -> PartOrigins:
        former.take_over(proxy, later)
        return PartOrigins(former, proxy)

    return find
