"""Which files are read, what is handed out, and what is held back."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

import pytest

from mizzen.config import ConfigStore
from mizzen.sources import FileSource
from mizzen.sources.listing import list_files
from tests.unit.sources.config_folder import Folder


def test_folders_are_walked_and_only_their_yaml_and_json_files_read(folder: Folder) -> None:
    for name in ("b.yaml", "a.yml", "deep/er/c.json", "x.yaml/inner.yaml"):
        folder.write(name)
    for name in (
        ".hidden.yaml",
        "..data.yaml",
        "#a.yaml#",
        "#b.yaml",
        "c.yaml~",
        "d.yaml.swp",
        "README.md",
        ".git/x.yaml",
    ):
        folder.write(name, "no")
    assert sorted(folder.told(folder.source().scan())) == [
        "a.yml",
        "b.yaml",
        "deep/er/c.json",
        "x.yaml/inner.yaml",
    ]


def test_a_file_that_is_named_may_end_in_anything(folder: Folder) -> None:
    file = folder.write("mesh.conf", "a")
    assert folder.told(FileSource([file]).scan()) == {"mesh.conf": ["a"]}


def test_names_are_those_that_the_user_gave(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.yaml")
    monkeypatch.chdir(folder.path.parent)
    assert list(FileSource(["./mesh/"]).scan()) == ["mesh/a.yaml"]
    assert list(FileSource(["mesh", "mesh/a.yaml", "mesh"]).scan()) == ["mesh/a.yaml"]


def test_only_what_changed_is_handed_out_again(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    folder.write("b.yaml", "b")
    source = folder.source()
    assert folder.told(source.scan()) == {"a.yaml": ["a"], "b.yaml": ["b"]}
    assert source.scan() == {}
    folder.write("a.yaml", "a", "a2")
    assert folder.told(source.scan()) == {"a.yaml": ["a", "a2"]}
    folder.write("c.yaml", "c")
    (folder.path / "b.yaml").unlink()
    assert folder.told(source.scan()) == {"c.yaml": ["c"], "b.yaml": None}
    assert source.scan() == {}


def test_a_file_touched_or_written_again_with_the_same_content_did_not_change(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    source = folder.source()
    source.scan()
    os.utime(file, ns=(1, 1))
    assert source.scan() == {}
    folder.write("a.yaml", "a")
    assert source.scan() == {}


def test_a_change_within_the_clock_s_grain_is_seen(folder: Folder) -> None:
    file = folder.write("a.yaml", "one")
    before = file.stat()
    source = folder.source()
    source.scan()
    file.write_text(file.read_text().replace("one", "two"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert folder.told(source.scan()) == {"a.yaml": ["two"]}


def test_an_old_unchanged_file_is_not_read_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.yaml", "a")
    later = time.time_ns() + 60 * 10**9
    monkeypatch.setattr("mizzen.sources.files.time.time_ns", lambda: later)
    source = folder.source()
    source.scan()

    def no_reading(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("mizzen.sources.files.read_file", no_reading)
    assert source.scan() == {}


def test_a_file_that_is_too_big_is_not_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder.path / "big.yaml"
    with file.open("wb") as big:
        big.truncate(200 * 1024 * 1024)

    def no_reading(*_: object, **__: object) -> None:
        raise AssertionError("read")

    source = folder.source()
    with monkeypatch.context() as patched:
        patched.setattr("mizzen.sources.files.read_file", no_reading)
        [message] = folder.told(source.scan()).values()
    assert message == "has 209715200 bytes, more than the limit of 10485760; split it, or raise the limit"
    assert source.scan() == {}
    folder.write("big.yaml", "a")
    assert folder.told(source.scan()) == {"big.yaml": ["a"]}


def test_a_file_that_may_not_be_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.yaml", "a")
    source = folder.source()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("mizzen.sources.files.read_file", refuse)
        batch = source.scan()
        assert source.scan() == {}
    assert folder.told(batch) == {
        "a.yaml": "cannot be read: permission denied; give this user the right to read it"
    }
    assert all(parsed is not None and parsed.broken for parsed in batch.values())
    assert folder.told(source.scan()) == {"a.yaml": ["a"]}


def test_a_folder_that_may_not_be_read_keeps_its_files(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("in/a.yaml", "a")
    source = folder.source()
    source.scan()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("/in"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refuse)
        assert folder.told(source.scan()) == {
            "in": "cannot be read: permission denied; give this user the right to read it"
        }
    assert folder.told(source.scan()) == {"in": None}


def test_a_path_that_is_not_there_says_so_and_comes_to_be(folder: Folder) -> None:
    source = FileSource([folder.path / "later"])
    [message] = folder.told(source.scan()).values()
    assert message == "does not exist; put it there or correct the path"
    folder.write("later/a.yaml", "a")
    assert folder.told(source.scan()) == {"later": None, "later/a.yaml": ["a"]}


def test_a_folder_that_vanishes_keeps_what_it_had_in_force(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    folder.write("b.yaml", "b")
    source, store = folder.source(), ConfigStore()
    store.apply(source.scan())
    shutil.rmtree(folder.path)
    assert not store.apply(source.scan())
    assert len(store.configs()) == 2
    assert [str(each).split(": ")[1] for each in store.diagnostics()] == [
        "does not exist; put it there or correct the path"
    ]
    folder.write("a.yaml", "a")
    change = store.apply(source.scan())
    assert [key.name for key in change.removed] == ["b"]
    assert store.diagnostics() == ()


def test_an_empty_folder_is_a_warning_that_goes_away(folder: Folder) -> None:
    source = folder.source()
    [parsed] = source.scan().values()
    assert parsed is not None
    assert parsed.diagnostics[0].severity == "warning"
    assert "is this the right folder?" in parsed.diagnostics[0].message
    folder.write("a.yaml", "a")
    assert folder.told(source.scan()) == {".": None, "a.yaml": ["a"]}
    (folder.path / "a.yaml").unlink()
    assert "has no files any more" in str(folder.told(source.scan())["."])


def test_kubernetes_mounts_change_by_one_symbolic_link(folder: Folder) -> None:
    first, second = Folder(folder.path / "..2026_1"), Folder(folder.path / "..2026_2")
    first.write("a.yaml", "a")
    first.write("b.yaml", "b")
    second.write("a.yaml", "a", "more")
    second.write("b.yaml", "b")
    (folder.path / "..data").symlink_to("..2026_1")
    for name in ("a.yaml", "b.yaml"):
        (folder.path / name).symlink_to(f"..data/{name}")
    source = folder.source()
    assert folder.told(source.scan()) == {"a.yaml": ["a"], "b.yaml": ["b"]}
    (folder.path / "..new").symlink_to("..2026_2")
    (folder.path / "..new").rename(folder.path / "..data")
    assert folder.told(source.scan()) == {"a.yaml": ["a", "more"]}


def test_symbolic_links_to_nothing_and_back_to_the_same(folder: Folder) -> None:
    file = folder.write("real.txt", "a")
    link = folder.path / "a.yaml"
    link.symlink_to("real.txt")
    source = folder.source()
    assert folder.told(source.scan()) == {"a.yaml": ["a"]}
    file.rename(folder.path / "other.txt")
    assert folder.told(source.scan()) == {"a.yaml": "is a symbolic link to nothing; correct or remove it"}
    (folder.path / "other.txt").rename(file)
    assert folder.told(source.scan()) == {"a.yaml": ["a"]}


def test_links_in_a_circle_are_walked_once(folder: Folder) -> None:
    folder.write("in/a.yaml", "a")
    (folder.path / "in" / "up").symlink_to("..")
    (folder.path / "in" / "loop.yaml").symlink_to("loop.yaml")
    told = folder.told(folder.source().scan())
    assert told["in/a.yaml"] == ["a"]
    assert "too many levels of symbolic links" in str(told["in/loop.yaml"])
    assert len(told) == 2


def test_pipes_are_not_opened(folder: Folder) -> None:
    os.mkfifo(folder.path / "a.yaml")
    assert folder.told(folder.source().scan()) == {
        "a.yaml": "is neither a file nor a folder; give one of them"
    }
    listing = list_files([str(folder.path / "a.yaml")])
    assert not listing.files


# What follows moves the clock by hand.


def test_a_gain_is_handed_out_at_once(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    source = folder.source()
    assert folder.told(source.settled_scan(0.0)) == {"a.yaml": ["a"]}
    folder.write("a.yaml", "a", "b")
    assert folder.told(source.settled_scan(1.0)) == {"a.yaml": ["a", "b"]}
    assert source.delayed == frozenset()


@pytest.mark.parametrize("loss", ["empty", "gone", "broken", "shorter"])
def test_a_loss_is_held_back_until_it_has_lasted(folder: Folder, loss: str) -> None:
    file = folder.write("a.yaml", "a", "b")
    folder.write("other.yaml", "other")
    source = folder.source()
    source.settled_scan(0.0)
    match loss:
        case "empty":
            file.write_text("")
        case "gone":
            file.unlink()
        case "broken":
            file.write_text("a: [")
        case "shorter":
            folder.write("a.yaml", "a")
    assert source.settled_scan(1.0) == {}
    assert source.delayed == {str(file)}
    assert source.settled_scan(1.0 + source.GRACE / 2) == {}
    assert list(source.settled_scan(1.0 + source.GRACE)) == [str(file)]
    assert source.delayed == frozenset()
    assert source.settled_scan(9.0) == {}


def test_a_loss_that_was_the_middle_of_a_change_is_never_seen(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    source = folder.source()
    source.settled_scan(0.0)
    for text in ("", folder.document("a")[:30], "a: ["):
        file.write_text(text)
        assert source.settled_scan(1.0) == {}
    folder.write("a.yaml", "a", "b")
    assert folder.told(source.settled_scan(1.01)) == {"a.yaml": ["a", "b"]}
    assert source.delayed == frozenset()


def test_a_file_that_changes_for_ever_is_believed_in_the_end(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    source = folder.source()
    source.settled_scan(0.0)
    moments = [0.05 * tick for tick in range(200)]
    seen = []
    for tick, now in enumerate(moments):
        file.write_text("# " + "x" * tick)
        seen.append(bool(source.settled_scan(1.0 + now)))
    assert moments[seen.index(True)] == pytest.approx(source.LONGEST)


def test_a_document_that_moves_is_no_loss(folder: Folder) -> None:
    file = folder.write("a.yaml", "a", "b")
    source = folder.source()
    source.settled_scan(0.0)
    folder.write("c.yaml", "b")
    folder.write("a.yaml", "a")
    assert folder.told(source.settled_scan(1.0)) == {"a.yaml": ["a"], "c.yaml": ["b"]}
    file.rename(folder.path / "renamed.yaml")
    assert folder.told(source.settled_scan(2.0)) == {"a.yaml": None, "renamed.yaml": ["a"]}


def test_known_files_can_be_looked_at_alone(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder.write("a.yaml", "a")
    other = folder.write("b.yaml", "b")
    source = folder.source()
    source.settled_scan(0.0)
    folder.write("a.yaml", "a", "a2")
    folder.write("b.yaml", "b", "b2")
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", None)
        assert folder.told(source.settled_scan(1.0, [str(file)])) == {"a.yaml": ["a", "a2"]}
    other.unlink()
    assert source.settled_scan(2.0, [str(other)]) == {}
    assert folder.told(source.settled_scan(3.0, [str(other)])) == {"b.yaml": None}
    folder.write("new.yaml", "new")
    assert folder.told(source.settled_scan(4.0, [str(folder.path / "new.yaml")])) == {"new.yaml": ["new"]}
