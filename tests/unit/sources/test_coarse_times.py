"""A real file system whose times are whole seconds: two saves of one size within a second are both served."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SAVES = """
    import asyncio, ctypes, os, subprocess, sys, time
    from contextlib import aclosing
    from pathlib import Path
    from mizzen.config import ConfigStore
    from mizzen.sources import FileSource, watch_files, watching
    from tests.unit.sources.config_folder import Folder

    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x00020000) == 0  # a mount namespace of its own, which ends with this process
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    image, place, told_by = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if subprocess.run(["mount", "-o", "loop", image, place]).returncode:
        sys.exit(77)
    folder = Folder(place / "mesh")
    if told_by == "looking":
        def refuse(*_):
            raise OSError(24, "inotify instance limit reached")
        watching.FolderWatch = refuse

    async def in_force(watch, store, name):
        async with asyncio.timeout(20):
            while [config.name for config in store.configs()] != [name]:
                store.apply(await anext(watch))

    async def main():
        folder.write("a.yaml", "name00")
        source, store = folder.source(), ConfigStore()
        store.apply(source.scan())
        file, alike = folder.path / "a.yaml", 0
        async with aclosing(watch_files(source, poll_seconds=0.02)) as watch:
            for turn in range(1, 9):
                if time.time() % 1 > 0.5:
                    time.sleep(1 - time.time() % 1)  # so that the second has room for both saves
                stamps = set()
                for half in "ab":
                    folder.write("a.yaml", f"name{turn}{half}")
                    status = file.stat()
                    stamps.add((status.st_mtime_ns, status.st_size))
                    await in_force(watch, store, f"name{turn}{half}")
                alike += len(stamps) == 1
        print("served", alike)

    asyncio.run(main())
"""


def may_mount() -> bool:
    return os.geteuid() == 0 and hasattr(ctypes.CDLL(None), "unshare")


@pytest.mark.root
@pytest.mark.parametrize("told_by", ["inotify", "looking"])
def test_two_saves_within_a_second_are_both_served(tmp_path: Path, told_by: str) -> None:
    if not may_mount():
        pytest.skip("needs root")
    if shutil.which("mkfs.ext3") is None:
        pytest.skip("needs mkfs.ext3")
    image, place = tmp_path / "image", tmp_path / "place"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(4 * 1024 * 1024)
    # Inodes of 128 bytes have no room for parts of a second.
    subprocess.run(["mkfs.ext3", "-q", "-I", "128", "-O", "^has_journal", image], check=True)
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SAVES), image, place, told_by],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if ran.returncode == 77:
        pytest.skip(f"needs loop devices: {ran.stderr}")
    assert ran.returncode == 0, ran.stderr
    *_, served, alike = ran.stdout.split()
    assert served == "served"
    assert int(alike) >= 4, "pairs that nothing but their content tells apart"
