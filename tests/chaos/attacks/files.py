"""Files and folders are broken, half-written, forbidden, moved and unmounted."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from mizzen.testing.waiting import eventually
from tests.chaos import mesh, sandbox
from tests.chaos.attack import Attack
from tests.chaos.field import BOUND, START, Field

_LOSS_IS_BELIEVED = 0.1
"""Seconds after which the control plane believes that a file lacks what it had (docs/operations.md)."""

_SOON = 4.0
"""Longest time for a change in a folder that is back: what nobody tells is found after 5 s only."""


def no_yaml(file: Path) -> None:
    """Words that are no YAML."""
    file.write_text("kind: [\n", encoding="utf-8")


def half_written(file: Path) -> None:
    """The last line is cut in the middle of a key."""
    file.write_text(file.read_text(encoding="utf-8")[:-3] + "\n  hos", encoding="utf-8")


def zeros(file: Path) -> None:
    """Zeros instead of its bytes, as after a power failure."""
    file.write_bytes(bytes(file.stat().st_size))


def noise(file: Path) -> None:
    """Bytes of chance."""
    file.write_bytes(random.Random(4).randbytes(2_000))


def invalid(file: Path) -> None:
    """Valid YAML, with a field in every document that is not known."""
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("spec:\n", "spec:\n  wieght: -1\n"), encoding="utf-8")


def conflict(file: Path) -> None:
    """The marks of a merge conflict."""
    text = file.read_text(encoding="utf-8")
    file.write_text(f"<<<<<<< HEAD\n{text}=======\n>>>>>>> other\n", encoding="utf-8")


def forbidden(file: Path) -> None:
    """Nobody may read it."""
    file.chmod(0)


_DAMAGES: tuple[Callable[[Path], None], ...] = (
    *(no_yaml, half_written, zeros, noise, invalid, conflict, forbidden),
)


def _damages() -> tuple[Callable[[Path], None], ...]:
    return _DAMAGES if sandbox.obeys_modes() else _DAMAGES[:-1]


async def break_files(field: Field) -> None:
    """Break a file in every way while it is served; what it held stays, and other files go on."""
    turn = 0
    while field.goes_on():
        damage = _damages()[turn % len(_damages())]
        file = field.config / ("services.yaml", "routes.yaml", "gateway.yaml", "sidecar.yaml")[turn % 4]
        turn += 1
        before = file.read_text(encoding="utf-8")
        damage(file)
        field.record.did(damage.__name__.replace("_", " "))
        await field.change()
        await asyncio.sleep(3 * _LOSS_IS_BELIEVED)
        diagnostics = (await field.status())["configuration"]["diagnostics"]
        if not any(each["file"] == str(file) and each["severity"] == "error" for each in diagnostics):
            field.record.fault(f"{file.name} is broken ({damage.__doc__}), and the status does not say so")
        field.write(file.name, before)
        await field.change()


async def grow_a_file(field: Field) -> None:
    """A file grows byte by byte, or is empty for a moment; only the whole of it counts."""
    chance = random.Random(5)
    while field.goes_on():
        field.number += 1
        text = mesh.marker(field.number)
        began = time.monotonic()
        with (field.config / "marker.yaml").open("w", encoding="utf-8", buffering=1) as file:
            for letter in text:
                file.write(letter)
                file.flush()
                if chance.random() < 0.2:
                    await asyncio.sleep(0.002)
        field.record.did("file of one byte more")
        await field.in_force(began)
        routes = field.config / "routes.yaml"
        before = routes.read_text(encoding="utf-8")
        # What is cut within a value may be valid, and means something else: nobody can know.
        colons = [at for at, letter in enumerate(before) if letter == ":"]
        for cut in (0, chance.choice(colons)):
            # No other task may come between: a moment, and not as long as a loss takes to be believed.
            routes.write_text(before[:cut], encoding="utf-8")
            time.sleep(_LOSS_IS_BELIEVED / 5)  # noqa: ASYNC251
            routes.write_text(before, encoding="utf-8")
            field.record.did("half a file for a moment")
            await field.change()


async def save_at_one_time(field: Field) -> None:
    """Saves of one size with one time of modification, in place and by renaming; each is served."""
    file = field.config / "marker.yaml"
    while field.goes_on():
        for _ in range(2):
            began = time.monotonic()
            field.number += 1
            file.write_text(mesh.marker(field.number), encoding="utf-8")
            os.utime(file, (1_000_000_000, 1_000_000_000))
            field.record.did("save in place")
        await field.in_force(began)
        began = time.monotonic()
        field.number += 1
        new = field.directory / "new"
        new.write_text(mesh.marker(field.number), encoding="utf-8")
        os.utime(new, (1_000_000_000, 1_000_000_000))
        new.replace(file)
        field.record.did("renamed file")
        await field.in_force(began)


async def unmount(field: Field) -> None:
    """Unmount the folder of YAML for up to six seconds; everything stays in force."""
    volume = field.directory / "volume"
    await field.kill_control_plane()
    field.config.rename(volume)
    field.config.mkdir()
    bind = ("--bind", str(volume))
    field.mount(field.config, *bind)
    await field.start_control_plane()
    await _take_away(
        field,
        lambda: sandbox.run("umount", "--lazy", str(field.config)),
        lambda: sandbox.run("mount", *bind, str(field.config)),
        "unmounted",
    )


async def move_the_folder(field: Field) -> None:
    """Move the folder of YAML away for up to six seconds; everything stays in force."""
    away = field.directory / "away"
    await _take_away(
        field, lambda: field.config.rename(away), lambda: away.rename(field.config), "moved away"
    )


async def _take_away(
    field: Field, take: Callable[[], object], give_back: Callable[[], object], deed: str
) -> None:
    turn = 0
    while field.goes_on():
        await field.change()
        take()
        field.record.did(deed)
        await eventually(lambda: _says_error(field), "the status says that the folder is away", BOUND)
        await asyncio.sleep((0.0, 0.3, 6.0)[turn % 3])
        turn += 1
        give_back()
        if turn % 2:
            # A moment later, when nothing is out of the ordinary any more.
            await eventually(lambda: _says_none(field), "the status says that the folder is back", BOUND)
            await asyncio.sleep(1.0)
        await field.change()


async def _says_error(field: Field) -> bool:
    diagnostics = (await field.status())["configuration"]["diagnostics"]
    return any(each["severity"] == "error" for each in diagnostics)


async def _says_none(field: Field) -> bool:
    return not await _says_error(field)


async def start_broken(field: Field) -> None:
    """Start while a file is broken, or the folder is missing or empty; the Envoys keep what they have."""
    away = field.directory / "away"
    stands_in = "--state" in field.arguments
    turn = 0
    while field.goes_on():
        await field.kill_control_plane()
        damages = (_missing, _empty, *_damages())
        damage = damages[turn % len(damages)]
        file = field.config / ("services.yaml", "routes.yaml", "gateway.yaml", "sidecar.yaml")[turn % 4]
        turn += 1
        shutil.copytree(field.config, away)
        damage(file)
        field.record.did(f"start: {damage.__name__.strip('_').replace('_', ' ')}")
        await field.start_control_plane(wait=False)
        await eventually(field.answers, "the control plane answers", START)
        if stands_in and damage is not _empty:
            await eventually(field.ready, "what the state directory has is served", START)
            if damage is not _missing:
                await field.change(START)
        else:
            await asyncio.sleep(0.5)
            assert not await field.ready(), f"it serves proxies though a file is broken: {damage.__doc__}"
        shutil.rmtree(field.config, ignore_errors=True)
        away.rename(field.config)
        field.write_change()
        await field.in_force(time.monotonic(), START)


def _missing(file: Path) -> None:
    """The folder is missing."""
    shutil.rmtree(file.parent)


def _empty(file: Path) -> None:
    """The folder is empty."""
    for each in file.parent.iterdir():
        each.unlink()


ATTACKS = (
    Attack("break-files", break_files),
    Attack("grow-a-file", grow_a_file),
    Attack("save-at-one-time", save_at_one_time),
    Attack("start-broken", start_broken, wait_bound=START, weight=2.0),
    Attack(
        "start-broken-with-state",
        start_broken,
        wait_bound=START,
        arguments=("--state", "{state}"),
        weight=2.0,
    ),
    Attack("unmount", unmount, wait_bound=_SOON),
    Attack("move-the-folder", move_the_folder, wait_bound=_SOON),
)
