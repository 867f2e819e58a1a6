"""The proxies for which a change is looked at: those that the files speak of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mizzen.explain.callers import DeclaredCallers
from mizzen.explain.origins import PartOrigins
from mizzen.mesh.proxy.node import Proxy
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
    old: Translation,
    new: Translation,
    nodes: Iterable[Proxy] = (),
    *,
    old_file: Callable[[str], str] = str,
    new_file: Callable[[str], str] = str,
) -> Iterator[Pair]:
    """Yield the proxies of both meshes, each with what it is sent by them.

    `nodes` are the proxies to look at; without them those that the documents let expect. `new` may go on from
    what is made for `old`. `old_file` and `new_file` say how people know the files of each side.
    """
    chosen = tuple(nodes)
    before = {proxy_name(each): each for each in chosen or DeclaredCallers(old.mesh).all()}
    after = {proxy_name(each): each for each in chosen or DeclaredCallers(new.mesh).all()}
    for name in (*before, *(each for each in after if each not in before)):
        was, now = before.get(name), after.get(name)
        former = _side(old, was, old_file) if was is not None else None
        if now is not None:
            new.take_over(now, old)
        yield Pair(name, former, _side(new, now, new_file) if now is not None else None)


def _side(translation: Translation, proxy: Proxy, shown: Callable[[str], str]) -> Side:
    return Side(translation.snapshot(proxy), lambda: PartOrigins(translation, proxy), shown)
