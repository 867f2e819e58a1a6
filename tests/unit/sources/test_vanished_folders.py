"""A folder that vanishes keeps what it had in force; one that comes back is read and compared."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mizzen.config import ConfigStore
from mizzen.sources import FileSource
from tests.unit.sources.config_folder import Folder

RETURNED = FileSource.RETURNED_GRACE
GRACE = FileSource.GRACE
EMPTIED = (
    "has no files any more; mount it or put its files back; "
    "to empty it on purpose, leave one file with only a comment in it"
)


def in_force(store: ConfigStore) -> list[str]:
    return [config.name for config in store.configs()]


def test_a_folder_whose_files_are_all_gone_keeps_them_in_force(folder: Folder) -> None:
    for name in "ab":
        folder.write(f"{name}.yaml", name)
    source, store = folder.source(), ConfigStore()
    store.apply(source.scan())
    for name in "ab":
        (folder.path / f"{name}.yaml").unlink()
    assert source.settled_scan(0.0) == {}
    batch = source.settled_scan(GRACE)
    assert folder.told(batch) == {".": EMPTIED}
    assert not store.apply(batch)
    assert in_force(store) == ["a", "b"]
    assert [each.severity for each in store.diagnostics()] == ["error"]
    assert source.scan() == {}
    folder.write("a.yaml", "a")
    folder.write("b.yaml", "b")
    assert folder.told(source.settled_scan(1.0)) == {".": None}, "the same is there as before"


def test_a_folder_is_emptied_on_purpose_by_a_file_with_only_a_comment(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    source, store = folder.source(), ConfigStore()
    store.apply(source.scan())
    (folder.path / "a.yaml").write_text("# nothing for now\n")
    assert source.settled_scan(0.0) == {}
    store.apply(source.settled_scan(GRACE))
    assert in_force(store) == []
    assert store.diagnostics() == ()


def test_a_folder_put_in_the_place_of_another_is_believed_when_it_is_quiet(folder: Folder) -> None:
    for name in "abc":
        folder.write(f"{name}.yaml", name)
    source, store = folder.source(), ConfigStore()
    store.apply(source.scan())
    shutil.rmtree(folder.path)
    now = 0.0
    assert source.settled_scan(now) == {}
    folder.path.mkdir()
    for name in "abd":  # it is filled file by file, and slowly
        folder.write(f"{name}.yaml", name)
        assert source.settled_scan(now) == {}
        now += RETURNED * 0.9
    store.apply(source.settled_scan(now + RETURNED))
    assert in_force(store) == ["a", "b", "d"]


def test_a_link_turned_to_another_folder_is_one_change(folder: Folder, tmp_path: Path) -> None:
    first, second = Folder(tmp_path / "1"), Folder(tmp_path / "2")
    first.write("a.yaml", "a")
    second.write("b.yaml", "b")
    link = tmp_path / "current"
    link.symlink_to("1")
    source, store = FileSource([link]), ConfigStore()
    store.apply(source.scan())
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(link)
    assert source.settled_scan(0.0) == {}
    store.apply(source.settled_scan(GRACE))
    assert in_force(store) == ["b"]


MOUNTED = """
    import ctypes, os, sys
    from pathlib import Path
    from tests.unit.sources.config_folder import Folder
    from mizzen.config import ConfigStore
    from mizzen.sources import FileSource, roots

    if sys.argv[5] == "device":
        roots._mount_id = lambda path: None

    libc = ctypes.CDLL(None, use_errno=True)

    def call(function, *arguments):
        if getattr(libc, function)(*arguments):
            raise OSError(ctypes.get_errno(), function)

    def mount(what, where, kind=None, flags=0):
        call("mount", os.fsencode(what), os.fsencode(where), kind, flags, None)

    call("unshare", 0x00020000)  # a mount namespace of its own
    mount("none", "/", None, 1 << 18 | 1 << 14)  # which tells nothing to the others
    base = Path(sys.argv[1])
    root = Folder(base / "mesh")
    inner = Folder(root.path / "team") if sys.argv[2] == "inner" else root
    if sys.argv[3] == "below":
        inner.write("old.yaml", "old")  # below the mount, long forgotten
    volume = Folder(base / "volume")
    if sys.argv[4] == "tmpfs":
        mount("tmpfs", volume.path, b"tmpfs")
    volume.write("a.yaml", "a")
    volume.write("b.yaml", "b")
    if inner is not root:
        root.write("own.yaml", "own")

    def attach():
        mount(volume.path, inner.path, None, 4096)

    def names(store):
        return " ".join(config.name for config in store.configs())

    attach()
    source, store = root.source(), ConfigStore()
    store.apply(source.scan())
    print(names(store), len(store.diagnostics()))
    call("umount2", os.fsencode(inner.path), 0)
    source.settled_scan(0.0)
    store.apply(source.settled_scan(5.0))
    print(names(store), *(each.message for each in store.diagnostics()))
    store.apply(source.scan())
    print(names(store), len(store.diagnostics()))
    volume.write("b.yaml", "c")
    attach()
    source.settled_scan(10.0)
    store.apply(source.settled_scan(15.0))
    print(names(store), len(store.diagnostics()))
"""


def may_mount() -> bool:
    return os.geteuid() == 0 and hasattr(ctypes.CDLL(None), "unshare")


@pytest.mark.root
@pytest.mark.parametrize("below", ["empty", "below"])
@pytest.mark.parametrize(
    ("where", "kind", "told_by"),
    [
        ("root", "bind", "mount"),
        ("root", "tmpfs", "mount"),
        ("root", "tmpfs", "device"),
        ("inner", "tmpfs", "mount"),
    ],
)
def test_a_volume_that_is_unmounted_keeps_what_it_had(
    tmp_path: Path, where: str, below: str, kind: str, told_by: str
) -> None:
    """Also if other files lie below the mount, and where only the device tells mounts apart."""
    if not may_mount():
        pytest.skip("needs root")
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MOUNTED), tmp_path, where, below, kind, told_by],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )
    assert ran.returncode == 0, ran.stderr
    own = " own" if where == "inner" else ""
    first, unmounted, still, back = ran.stdout.splitlines()
    assert first == f"a b{own} 0"
    assert unmounted.startswith(f"a b{own} ")
    assert "mount it again" in unmounted
    assert still == f"a b{own} 1"
    assert back == f"a c{own} 0"
