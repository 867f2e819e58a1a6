"""When a loss is accepted, and that a recovered problem is returned once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mizzen.config import ConfigStore
from mizzen.sources import FileSource, files
from mizzen.sources.listing import Listing, list_files, stamp_of
from tests.unit.sources.config_folder import Folder

GRACE = FileSource.GRACE
BROKEN = "kind: [\n"


def test_a_loss_is_believed_when_it_has_lasted_for_the_grace(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    folder.write("b.yaml", "b")
    source = folder.source()
    source.scan()
    file.unlink()
    assert source.settled_scan(0.0) == {}
    assert source.delayed == {str(file)}
    assert source.settled_scan(GRACE * 0.99) == {}
    assert folder.told(source.settled_scan(GRACE)) == {"a.yaml": None}
    assert source.delayed == frozenset()


def test_a_loss_that_is_made_good_is_forgotten(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    source = folder.source()
    source.scan()
    for begun in (0.0, 10.0):
        file.unlink()
        assert source.settled_scan(begun) == {}, "it begins anew each time"
        folder.write("a.yaml", "a")
        assert source.settled_scan(begun + 1) == {}
        assert source.delayed == frozenset()


def test_a_file_without_a_byte_keeps_its_documents(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    folder.write("b.yaml", "b")
    source = folder.source()
    store = ConfigStore()
    store.apply(source.scan())
    file.write_bytes(b"")
    assert source.settled_scan(0.0) == {}
    batch = source.settled_scan(GRACE)
    assert folder.told(batch) == {
        "a.yaml": "is empty, as if it were still being written; write it, remove it, or put a comment into it"
    }
    store.apply(batch)
    assert sorted(each.key.name for each in store.configs()) == ["a", "b"]
    assert source.settled_scan(5.0) == {}, "it is told once"
    file.write_text("# nothing for now\n")
    assert source.settled_scan(10.0) == {}
    store.apply(source.settled_scan(10.0 + 2 * GRACE))
    assert [each.key.name for each in store.configs()] == ["b"]


def test_a_first_scan_tells_files_that_are_empty_when_they_are_read(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("a.yaml")
    folder.write("b.yaml")
    folder.write("c.yaml", "c")

    def listed(roots: Sequence[str]) -> Listing:
        found = list_files(roots)
        folder.write("a.yaml", "a")  # between the listing and the reading
        return found

    source = folder.source()
    monkeypatch.setattr(files, "list_files", listed)
    first = source.first_scan()
    monkeypatch.undo()
    is_empty = "is empty, as if it were still being written; write it, remove it, or put a comment into it"
    assert folder.told(first) == {"a.yaml": ["a"], "b.yaml": is_empty, "c.yaml": ["c"]}
    folder.write("b.yaml", "b")
    assert folder.told(source.settled_scan(1.0)) == {"b.yaml": ["b"]}


def test_a_file_without_a_byte_is_no_mistake_if_it_never_had_documents_or_they_moved(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    folder.write("b.yaml")
    source = folder.source()
    assert folder.told(source.scan()) == {"a.yaml": ["a"], "b.yaml": []}
    folder.write("a.yaml")
    folder.write("b.yaml", "a")
    assert folder.told(source.settled_scan(0.0)) == {"a.yaml": [], "b.yaml": ["a"]}
    folder.write("b.yaml")
    folder.write("c.yaml")
    source.settled_scan(1.0)
    assert folder.told(source.settled_scan(1.0 + GRACE))["c.yaml"] == []


def test_a_scan_believes_everything_at_once(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    folder.write("b.yaml", "b")
    source = folder.source()
    source.scan()
    file.unlink()
    source.settled_scan(0.0)
    assert folder.told(source.scan()) == {"a.yaml": None}
    assert source.delayed == frozenset()


def test_several_files_that_go_are_all_told(folder: Folder) -> None:
    files = [folder.write(f"{name}.yaml", name) for name in "abc"]
    source = folder.source()
    source.scan()
    for file in files[:2]:
        file.unlink()
    assert folder.told(source.scan()) == {"a.yaml": None, "b.yaml": None}
    assert source.scan() == {}


def test_a_new_file_that_is_half_written_is_held_back(folder: Folder) -> None:
    source = folder.source()
    source.scan()
    file = folder.write("a.yaml")
    file.write_text(BROKEN)
    assert source.settled_scan(0.0) == {}
    assert source.delayed == {str(file)}
    folder.write("a.yaml", "a")
    assert folder.told(source.settled_scan(0.01)) == {".": None, "a.yaml": ["a"]}


def test_what_never_was_a_file_is_told_at_once(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    source = folder.source()
    source.scan()
    os.mkfifo(folder.path / "b.yaml")
    assert set(source.settled_scan(0.0)) == {str(folder.path / "b.yaml")}


def test_a_refused_document_can_be_lost_too(folder: Folder) -> None:
    file = folder.path / "a.yaml"
    twice = "spec: {}\nspec: {}\n"
    file.write_text(f"{folder.document('a')}apiVersion: v1\nkind: Service\nmetadata: {{name: b}}\n{twice}")
    source = folder.source()
    [parsed] = source.scan().values()
    assert parsed is not None
    assert [refused.key.name for refused in parsed.refused] == ["b"]
    folder.write("a.yaml", "a")
    assert source.settled_scan(0.0) == {}
    assert folder.told(source.settled_scan(GRACE)) == {"a.yaml": ["a"]}


def test_what_a_broken_file_held_before_and_what_it_shows_can_both_be_lost(folder: Folder) -> None:
    file = folder.write("a.yaml", "old")
    source = folder.source()
    source.scan()
    for lost in ("old", "shown"):
        file.write_text(folder.document("shown") + folder.document("kept") + BROKEN)
        [parsed] = source.scan().values()
        assert parsed is not None
        assert parsed.broken
        there = {"old", "shown", "kept"} - {lost}
        folder.write("a.yaml", *sorted(there))
        assert source.settled_scan(0.0) == {}, f"{lost} is lost"
        assert folder.told(source.settled_scan(GRACE)) == {"a.yaml": sorted(there)}
        folder.write("a.yaml", "old")
        source.scan()


def test_a_document_that_moved_to_another_file_is_no_loss(folder: Folder) -> None:
    folder.write("a.yaml", "a", "b")
    source = folder.source()
    source.scan()
    folder.write("a.yaml", "a")
    folder.write("b.yaml", "b")
    assert folder.told(source.settled_scan(0.0)) == {"a.yaml": ["a"], "b.yaml": ["b"]}


def test_a_problem_that_stays_is_told_once(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    os.mkfifo(folder.path / "b.yaml")
    source = FileSource([folder.path, folder.path / "gone.yaml"])
    assert len(source.scan()) == 3
    assert source.scan() == {}


def test_problems_that_are_over_are_returned_once(folder: Folder) -> None:
    roots = [folder.path / "one", folder.path / "two"]
    source = FileSource(roots)
    assert set(source.scan()) == {str(root) for root in roots}
    for root in roots:
        folder.write(f"{root.name}/a.yaml", root.name)
    assert folder.told(source.scan()) == {
        "one": None,
        "two": None,
        "one/a.yaml": ["one"],
        "two/a.yaml": ["two"],
    }
    assert source.scan() == {}


def test_a_file_that_is_small_again_is_told_once_and_has_the_limit_named(folder: Folder) -> None:
    source = folder.source(max_bytes=200)
    file = folder.write("a.yaml", "a", "b")
    size = file.stat().st_size
    assert folder.told(source.scan()) == {
        "a.yaml": f"has {size} bytes, more than the limit of 200; split it, or raise the limit"
    }
    folder.write("a.yaml", "a")
    assert folder.told(source.scan()) == {"a.yaml": ["a"]}
    assert source.scan() == {}


def test_a_file_that_grows_while_it_is_read_is_too_big_as_well(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("a.yaml", "a")
    monkeypatch.setattr("mizzen.sources.files.read_file", lambda _, limit: (b"#" * 1000)[:limit])
    [parsed] = folder.source(max_bytes=200).scan().values()
    assert parsed is not None
    assert "more than the limit of 200" in parsed.diagnostics[0].message


def test_a_file_that_was_written_again_and_then_changed_within_the_clock_s_grain(folder: Folder) -> None:
    file = folder.write("a.yaml", "one")
    source = folder.source()
    source.scan()
    folder.write("a.yaml", "one")
    before = file.stat()
    assert source.scan() == {}
    file.write_text(file.read_text().replace("one", "two"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert folder.told(source.scan()) == {"a.yaml": ["two"]}


def test_while_one_file_lacks_something_the_other_files_wait_with_it(folder: Folder) -> None:
    folder.write("services.yaml", "blue")
    folder.write("routes.yaml", "to-blue")
    source = folder.source()
    source.scan()
    folder.write("services.yaml", "green")
    assert source.settled_scan(0.0) == {}
    file = folder.write("routes.yaml", "to-blue", "to-green")
    assert source.settled_scan(0.05, only=[str(file)]) == {}
    assert source.settled_scan(GRACE, only=source.delayed) == {}, "the last file came half a grace ago"
    assert folder.told(source.settled_scan(0.05 + GRACE)) == {
        "services.yaml": ["green"],
        "routes.yaml": ["to-blue", "to-green"],
    }


def test_what_was_held_goes_out_at_once_when_nothing_is_lost_any_more(folder: Folder) -> None:
    file = folder.write("a.yaml", "a", "b")
    source = folder.source()
    source.scan()
    folder.write("a.yaml", "a")
    folder.write("c.yaml", "c")
    assert source.settled_scan(0.0) == {}
    folder.write("c.yaml", "c", "b")
    assert folder.told(source.settled_scan(0.01, only=[str(file)])) == {}, "c.yaml is not known yet"
    assert folder.told(source.settled_scan(0.02)) == {"a.yaml": ["a"], "c.yaml": ["c", "b"]}


@pytest.mark.parametrize("look_at_all", [False, True])
def test_a_named_file_is_compared_by_content_whatever_its_times_say(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, look_at_all: bool
) -> None:
    file = folder.write("a.yaml", "one")
    same = stamp_of(file.stat())
    monkeypatch.setattr("mizzen.sources.files.stamp_of", lambda _: same)
    monkeypatch.setattr("mizzen.sources.listing.stamp_of", lambda _: same)
    later = time.time_ns() + 60 * 10**9
    monkeypatch.setattr("mizzen.sources.files.time.time_ns", lambda: later)
    source = folder.source()
    source.scan()
    for number, name in enumerate(("two", "six", "ten")):
        folder.write("a.yaml", name)
        named = [str(file)]
        if look_at_all:
            named.append(str(folder.write(f"new-{number}.yaml", f"new-{number}")))
        assert source.settled_scan(10.0 * number, only=named) == {}
        assert folder.told(source.settled_scan(10.0 * number + 2 * GRACE, only=[]))["a.yaml"] == [name]


def test_what_a_turned_link_leads_to_is_compared_by_content(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    Folder(folder.path / "..1").write("a.yaml", "one")
    Folder(folder.path / "..2").write("a.yaml", "two")
    (folder.path / "..data").symlink_to("..1")
    (folder.path / "a.yaml").symlink_to("..data/a.yaml")
    same = stamp_of((folder.path / "a.yaml").stat())
    monkeypatch.setattr("mizzen.sources.listing.stamp_of", lambda _: same)
    later = time.time_ns() + 60 * 10**9
    monkeypatch.setattr("mizzen.sources.files.time.time_ns", lambda: later)
    source = folder.source()
    source.scan()
    (folder.path / "..new").symlink_to("..2")
    (folder.path / "..new").replace(folder.path / "..data")
    source.settled_scan(0.0, only=[str(folder.path / "..data")])
    assert folder.told(source.settled_scan(GRACE)) == {"a.yaml": ["two"]}


def test_a_file_system_that_counts_seconds_is_not_believed_for_two_of_them(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("a.yaml", "one")
    second = 10**9 * (time.time_ns() // 10**9)
    same = stamp_of((folder.path / "a.yaml").stat())._replace(modified_ns=second, changed_ns=second)
    monkeypatch.setattr("mizzen.sources.listing.stamp_of", lambda _: same)
    moment = [second + 10**9]
    monkeypatch.setattr("mizzen.sources.files.time.time_ns", lambda: moment[0])
    source = folder.source()
    source.scan()
    for name in ("two", "six"):
        folder.write("a.yaml", name)
        assert folder.told(source.scan()) == {"a.yaml": [name]}
    moment[0] += 2 * 10**9
    assert source.scan() == {}
    monkeypatch.setattr("mizzen.sources.files.read_file", None)
    assert source.scan() == {}, "it is not read any more"


def test_a_file_that_was_given_its_old_times_again_is_seen(folder: Folder) -> None:
    file = folder.write("a.yaml", "one")
    before = file.stat()
    earlier = stamp_of(before)
    while stamp_of(file.stat()).changed_ns == earlier.changed_ns:
        folder.write("a.yaml", "two")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert stamp_of(file.stat())._replace(changed_ns=0) == earlier._replace(changed_ns=0)


def only(source: FileSource, file: Path, now: float) -> set[str]:
    return set(source.settled_scan(now, only=[str(file)]))


def test_a_look_at_one_file_sees_what_a_look_at_all_would(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    source = folder.source(max_bytes=200)
    source.scan()
    new = folder.write("new.yaml", "new")
    assert only(source, new, 0.0) == {str(new)}, "a file that was not known"
    folder.write("a.yaml", "a", "b")
    assert only(source, file, 1.0) == set()
    assert only(source, file, 1.0 + GRACE) == {str(file)}, "too big now"
    folder.write("a.yaml", "a")
    assert only(source, file, 2.0) == {str(file)}, "and not any more"
    file.unlink()
    assert only(source, file, 3.0) == set()
    assert only(source, file, 3.0 + GRACE) == {str(file)}
    beside = folder.write(".a.yaml.swp")
    assert only(source, beside, 4.0) == set()


def test_a_loss_that_still_changes_is_waited_for_longer_and_not_for_ever(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    source = folder.source()
    source.scan()
    now, turns = 0.0, 0
    while not only(source, file, now):
        file.write_text(BROKEN + "#" * turns)
        now, turns = now + GRACE * 0.9, turns + 1
        assert turns < 100
    assert FileSource.LONGEST <= now - GRACE * 0.9 <= FileSource.LONGEST + 2 * GRACE


def test_what_goes_from_one_folder_is_seen_while_another_is_not_there(folder: Folder) -> None:
    gone = folder.write("mesh-two/a.yaml", "a")
    source = FileSource([folder.path / "mesh", folder.path / "mesh-two"])
    source.scan()
    folder.write("mesh-two/b.yaml", "b")
    gone.unlink()
    assert folder.told(source.scan()) == {"mesh-two/a.yaml": None, "mesh-two/b.yaml": ["b"]}


def test_a_document_that_moved_while_another_is_lost_is_told_with_the_file_that_it_left(
    folder: Folder,
) -> None:
    moved = folder.write("a.yaml", "a")
    folder.write("z.yaml", "k", "z")
    source = folder.source()
    source.scan()
    moved.unlink()
    folder.write("b.yaml", "a")
    folder.write("z.yaml", "z")
    assert source.settled_scan(0.0) == {}
    batch = source.settled_scan(GRACE, only=source.delayed)
    assert folder.told(batch) == {"a.yaml": None, "b.yaml": ["a"], "z.yaml": ["z"]}


def test_quiet_counts_from_the_last_file_of_all_that_is_held(folder: Folder) -> None:
    names = [f"f{number}" for number in range(8)]
    for name in names:
        folder.write(f"{name}.yaml", name)
    source = folder.source()
    source.scan()
    for number, name in enumerate(names):  # a pull that pauses between two files
        file = folder.write(f"{name}.yaml", f"{name}-new")
        assert only(source, file, 0.08 * number) == set()
        assert source.latest == 0.08 * number
    last = 0.08 * (len(names) - 1)
    assert source.settled_scan(last + GRACE * 0.9, only=source.delayed) == {}
    assert len(source.settled_scan(last + GRACE * 1.01, only=source.delayed)) == len(names)


def test_files_that_never_rest_hold_up_a_loss_for_a_bounded_time(folder: Folder) -> None:
    lost, busy = folder.write("a.yaml", "a"), folder.write("b.yaml", "b")
    source = folder.source()
    source.scan()
    lost.unlink()
    assert source.settled_scan(0.0) == {}
    moments = [0.05 * turn for turn in range(1, 60)]
    for now in moments:
        folder.write("b.yaml", "b", f"b{round(now * 100)}")
        if only(source, busy, now):
            break
    assert now == pytest.approx(FileSource.LONGEST)
