"""Saves of several files that belong together, one after the other within milliseconds."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from tests.chaos import mesh
from tests.chaos.attack import Attack
from tests.chaos.field import Field

_GAP = 0.02
"""Longest time between two saves of a burst: less than a file's loss takes to be believed."""


def _blue_green(turn: int) -> dict[str, str]:
    """The service and its workload have another name, and the route leads there."""
    color = ("green", "blue")[turn % 2]
    services = mesh.text(mesh.service(color), mesh.workload(color, color), mesh.service("reviews"))
    return {"services.yaml": services, "routes.yaml": mesh.routes(color)}


def _gateway(turn: int) -> dict[str, str]:
    """The Gateway has another name, and the VirtualService names it."""
    return {
        "gateway.yaml": mesh.text(mesh.gateway(f"ingress-{turn}")),
        "routes.yaml": mesh.routes(gateway=f"ingress-{turn}"),
    }


def _subset(turn: int) -> dict[str, str]:
    """The DestinationRule and its subset have other names, and the route leads to it."""
    subset = {"name": f"subset-{turn}", "labels": {"version": "blue"}}
    rule = mesh.document("DestinationRule", f"reviews-{turn}", {"host": "reviews", "subsets": [subset]})
    return {"subsets.yaml": mesh.text(rule), "routes.yaml": mesh.routes(subset=f"subset-{turn}")}


def _move(turn: int) -> dict[str, str]:
    """Documents move from one file to another, and back."""
    service, workload = mesh.service("reviews"), mesh.workload("reviews", "blue")
    first, second = ("# nothing\n", mesh.text(service, workload))[:: 1 if turn % 2 else -1]
    return {"services.yaml": first, "more-services.yaml": second}


_BURSTS: tuple[Callable[[int], dict[str, str]], ...] = (_blue_green, _gateway, _subset, _move)


async def save_in_bursts(field: Field) -> None:
    """Two files that belong together are saved within milliseconds, in any order: no request fails."""
    chance = random.Random(7)
    while field.goes_on():
        # What comes before and after a kind of burst is the mesh as it was.
        make = chance.choice(_BURSTS)
        for _ in range(chance.randint(2, 5)):
            await _save(field, chance, make(field.number))
            field.record.did(make.__name__.strip("_").replace("_", "/"))
        files = make(0)
        await _save(field, chance, {name: mesh.files().get(name, "# nothing\n") for name in files})
        field.record.did("back")


async def _save(field: Field, chance: random.Random, files: dict[str, str]) -> None:
    names = sorted(files)
    chance.shuffle(names)
    pause = chance.choice((0.0, chance.uniform(0.0, _GAP)))
    for name in names:
        field.write(name, files[name])
        # No other task may come between: it is these milliseconds that are tried.
        time.sleep(pause)  # noqa: ASYNC251
    await field.change()
    await asyncio.sleep(chance.uniform(0.0, 0.2))


ATTACKS = (Attack("bursts", save_in_bursts),)
