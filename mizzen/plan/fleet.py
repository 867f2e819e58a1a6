"""The proxies for which a change is looked at: those that the files speak of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from mizzen.explain.callers import DeclaredCallers
from mizzen.explain.origins import PartOrigins
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.plan.side import Side
from mizzen.translator.translation import Translation

_KINDS = {"sidecar": "sidecar", "router": "gateway"}


@dataclass(frozen=True, slots=True)
class Pair:
    """One proxy before and after; None on a side where nobody speaks of it."""

    name: str
    old: Side | None
    new: Side | None


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
    """Yield the proxies of both meshes, each with what it is sent by them.

    Proxies that do not read what differs are not translated again. `nodes` are the proxies to look at, by
    default those that the documents let expect.
    `old_file` and `new_file` say how people know the files of each side.
    """
    chosen = tuple(nodes)
    declared = DeclaredCallers(old)
    before = {proxy_name(each): each for each in chosen or declared.all()}
    after = {proxy_name(each): each for each in chosen or DeclaredCallers(new, declared).all()}
    translation = Translation(old)
    former = translation.beside(old)  # asked for lines only, and only if something changes
    sides = {
        name: Side(translation.snapshot(each), _origins_before(former, translation, each), old_file)
        for name, each in before.items()
    }
    translation.update(new)
    concerned = set(translation.concerned())
    for name in (*before, *(each for each in after if each not in before)):
        was, now = sides.get(name), after.get(name)
        if now is None:
            yield Pair(name, was, None)
        elif now is before.get(name) and now not in concerned:
            yield Pair(name, was, was)
        else:
            made = translation.snapshot(now)
            yield Pair(name, was, Side(made, partial(PartOrigins, translation, now), new_file))


def _origins_before(former: Translation, later: Translation, proxy: Proxy) -> Callable[[], PartOrigins]:
    """Return what finds the lines of what a proxy was sent, going back from what is `later`."""

    def find() -> PartOrigins:
        former.take_over(proxy, later)
        return PartOrigins(former, proxy)

    return find
