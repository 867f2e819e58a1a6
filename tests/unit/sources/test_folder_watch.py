"""What the kernel tells of folders, and how long is waited for more of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mizzen.sources import folder_watch
from mizzen.sources.folder_watch import ONE_SAVE_SECONDS, QUIET_SECONDS, ChangedPaths, FolderWatch

PATIENCE = 60.0


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[FolderWatch]:
    told = FolderWatch()
    told.watch([str(tmp_path)])
    yield told
    told.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times for which more was waited for, without the waiting."""
    waited: list[float] = []
    monkeypatch.setattr(folder_watch.time, "sleep", waited.append)
    return waited


def is_yaml(path: str) -> bool:
    return path.endswith(".yaml")


def noticed(told: FolderWatch, matters: Callable[[str], bool] = is_yaml) -> ChangedPaths:
    found = told.wait(PATIENCE, matters)
    assert found is not None
    return found


def test_a_file_that_is_written_and_closed_waits_for_a_second_one_only(
    tmp_path: Path, watched: FolderWatch, waits: list[float]
) -> None:
    (tmp_path / "a.yaml").write_text("a")
    assert noticed(watched).paths == {str(tmp_path / "a.yaml")}
    assert waits == [ONE_SAVE_SECONDS]


def test_a_file_that_is_renamed_into_its_place_waits_for_a_second_one_only(
    tmp_path: Path, watched: FolderWatch, waits: list[float]
) -> None:
    (tmp_path / ".a.tmp").write_text("a")
    (tmp_path / ".a.tmp").rename(tmp_path / "a.yaml")
    assert noticed(watched).paths == {str(tmp_path / "a.yaml")}
    assert waits == [ONE_SAVE_SECONDS]


def test_two_files_are_a_burst_that_ends_when_it_is_quiet(
    tmp_path: Path, watched: FolderWatch, waits: list[float]
) -> None:
    (tmp_path / "a.yaml").write_text("a")
    (tmp_path / "b.yaml").write_text("b")
    assert noticed(watched).paths == {str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")}
    assert waits == [QUIET_SECONDS]


def test_a_file_that_its_writer_holds_open_is_waited_for(
    tmp_path: Path, watched: FolderWatch, waits: list[float]
) -> None:
    with (tmp_path / "a.yaml").open("w") as file:
        file.write("a")
        file.flush()
        noticed(watched)
        assert waits == [QUIET_SECONDS]


def test_a_file_that_goes_is_waited_for_as_another_may_take_its_place(
    tmp_path: Path, watched: FolderWatch, waits: list[float]
) -> None:
    (tmp_path / "a.yaml").write_text("a")
    (tmp_path / "a.yaml").unlink()
    noticed(watched)
    assert waits == [QUIET_SECONDS]


def test_what_follows_a_save_shortly_belongs_to_a_burst(
    tmp_path: Path, watched: FolderWatch, waits: list[float]
) -> None:
    (tmp_path / "a.yaml").write_text("a")
    noticed(watched)
    (tmp_path / "b.yaml").write_text("b")
    noticed(watched)
    assert waits == [ONE_SAVE_SECONDS, QUIET_SECONDS]


def test_what_does_not_matter_ends_no_waiting(tmp_path: Path, watched: FolderWatch) -> None:
    (tmp_path / "a.log").write_text("a")
    assert watched.wait(0.0, is_yaml) is None


def test_a_name_that_is_no_text_is_a_name_all_the_same(tmp_path: Path, watched: FolderWatch) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff.yaml", "w") as file:  # noqa: PTH123
        file.write("a")
    [path] = noticed(watched).paths
    assert os.fsencode(path).endswith(b"/\xff.yaml")


def test_lost_notices_are_told(tmp_path: Path, watched: FolderWatch) -> None:
    room = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    names = [tmp_path / "a.log", tmp_path / "b.log"]
    for name in names:
        name.write_text("")
    for turn in range(room + 10):
        os.utime(names[turn % 2])
    assert noticed(watched).all


def test_folders_can_be_others_later(tmp_path: Path, watched: FolderWatch) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    watched.watch([str(inner)])
    (tmp_path / "a.yaml").write_text("a")
    (inner / "b.yaml").write_text("b")
    assert noticed(watched).paths == {str(inner / "b.yaml")}


def test_a_folder_that_is_gone_is_said(tmp_path: Path, watched: FolderWatch) -> None:
    (tmp_path / "file").write_text("a")
    for gone in ("gone", "file"):
        with pytest.raises(FileNotFoundError):
            watched.watch([str(tmp_path / gone)])


def test_stopping_ends_the_waiting(tmp_path: Path, watched: FolderWatch) -> None:
    thread = threading.Thread(target=watched.wait, args=(PATIENCE, is_yaml))
    thread.start()
    watched.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert watched.wait(PATIENCE, is_yaml) is None


def test_a_system_without_inotify_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch.sys, "platform", "darwin")
    with pytest.raises(OSError, match="only Linux has inotify"):
        FolderWatch()
