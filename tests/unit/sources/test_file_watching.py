"""Changes of real files, noticed by the real system."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from mizzen.config import ConfigStore
from mizzen.sources import Batch, FileSource, watch_files
from tests.unit.sources.config_folder import Folder

PATIENCE = 60.0
QUEUED = Path("/proc/sys/fs/inotify/max_queued_events")
NEVER = 3600.0
"""No look without a notice: what is seen in these tests was noticed."""


async def settle(watch: AsyncGenerator[Batch, None], store: ConfigStore, *names: str) -> list[Batch]:
    """Follow a source until exactly `names` are in force; return the batches that it took."""
    batches: list[Batch] = []
    async with asyncio.timeout(PATIENCE):
        while [config.name for config in store.configs()] != sorted(names):
            batch = await anext(watch)
            batches.append(batch)
            store.apply(batch)
    return batches


def followed(source: FileSource) -> ConfigStore:
    store = ConfigStore()
    store.apply(source.scan())
    return store


async def test_changes_are_noticed_one_after_another(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    source = folder.source()
    store = followed(source)
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        folder.write("b.yaml", "b")
        await settle(watch, store, "a", "b")
        folder.write("a.yaml", "a", "a2")
        await settle(watch, store, "a", "a2", "b")
        (folder.path / "b.yaml").unlink()
        await settle(watch, store, "a", "a2")
        (folder.path / "a.yaml").rename(folder.path / "c.yaml")
        folder.write("new/deep/d.yaml", "d")
        await settle(watch, store, "a", "a2", "d")
        folder.write("new/deep/d.yaml", "d", "d2")
        await settle(watch, store, "a", "a2", "d", "d2")
        shutil.rmtree(folder.path / "new")
        await settle(watch, store, "a", "a2")


async def test_a_thousand_files_are_a_few_batches(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    source = folder.source()
    store = followed(source)
    names = [f"s{number}" for number in range(1000)]
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        folder.write("b.yaml", "b")
        await settle(watch, store, "a", "b")
        for name in names:
            folder.write(f"{name}.yaml", name)
        batches = await settle(watch, store, "a", "b", *names)
    assert len(batches) <= 20


async def test_an_editor_s_way_of_saving_removes_nothing(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    source = folder.source()
    store = followed(source)
    removed = []
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        file.rename(folder.path / "a.yaml~")
        folder.write("a.yaml", "a", "b")
        for batch in await settle(watch, store, "a", "b"):
            removed.extend(name for name, parsed in batch.items() if parsed is None)
        (folder.path / ".a.yaml.tmp").write_text(folder.document("c"))
        (folder.path / ".a.yaml.tmp").replace(file)
        await settle(watch, store, "c")
    assert removed == []


async def test_a_file_that_is_named_is_watched_through_its_folder(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    folder.write("other.yaml", "x")
    source = FileSource([file])
    store = followed(source)
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        folder.write("other.yaml", "y1")
        new = folder.write("new", "a", "b")
        new.replace(file)
        await settle(watch, store, "a", "b")
        file.unlink()
        batch = await asyncio.wait_for(anext(watch), PATIENCE)
        store.apply(batch)
        assert [config.name for config in store.configs()] == ["a", "b"]
        assert "does not exist" in str(store.diagnostics()[0])
        folder.write("a.yaml", "c")
        await settle(watch, store, "c")
        assert store.diagnostics() == ()


async def test_a_folder_that_vanishes_is_waited_for(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    source = folder.source()
    store = followed(source)
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        shutil.rmtree(folder.path)
        async with asyncio.timeout(PATIENCE):
            while not store.diagnostics():
                store.apply(await anext(watch))
        assert [config.name for config in store.configs()] == ["a"]
        folder.write("b.yaml", "b")
        await settle(watch, store, "b")
        folder.write("b.yaml", "b", "b2")
        await settle(watch, store, "b", "b2")


async def test_a_folder_replaced_by_another_is_watched(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    source = folder.source()
    store = followed(source)
    other = Folder(folder.path.parent / "other")
    other.write("b.yaml", "b")
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        folder.path.rename(folder.path.parent / "old")
        other.path.rename(folder.path)
        await settle(watch, store, "b")
        folder.write("c.yaml", "c")
        await settle(watch, store, "b", "c")


async def test_a_symbolic_link_for_the_folder_can_be_turned(tmp_path: Path) -> None:
    first, second = Folder(tmp_path / "v1"), Folder(tmp_path / "v2")
    first.write("a.yaml", "a")
    second.write("a.yaml", "b")
    link = tmp_path / "current"
    link.symlink_to("v1")
    source = FileSource([link])
    store = followed(source)
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        (tmp_path / "next").symlink_to("v2")
        (tmp_path / "next").replace(link)
        await settle(watch, store, "b")
        second.write("a.yaml", "b", "c")
        await settle(watch, store, "b", "c")


async def test_a_mounted_file_that_is_named_changes_by_one_link(folder: Folder) -> None:
    Folder(folder.path / "..2026_1").write("a.yaml", "a")
    Folder(folder.path / "..2026_2").write("a.yaml", "b")
    (folder.path / "..data").symlink_to("..2026_1")
    (folder.path / "a.yaml").symlink_to("..data/a.yaml")
    source = FileSource([folder.path / "a.yaml"])
    store = followed(source)
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        other = folder.write("other", "x")
        (folder.path / "a.yaml").touch()
        (folder.path / "..new").symlink_to("..2026_2")
        (folder.path / "..new").replace(folder.path / "..data")
        await settle(watch, store, "b")
        other.unlink()
        (folder.path / "..new").symlink_to("..2026_1")
        (folder.path / "..new").replace(folder.path / "..data")
        await settle(watch, store, "a")


async def test_the_target_of_a_link_elsewhere_is_watched(folder: Folder, tmp_path: Path) -> None:
    target = Folder(tmp_path / "elsewhere").write("real", "a")
    (folder.path / "a.yaml").symlink_to(target)
    source = folder.source()
    store = followed(source)
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        target.write_text(folder.document("a") + folder.document("b"))
        await settle(watch, store, "a", "b")


async def test_relative_paths_are_watched(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.yaml", "a")
    monkeypatch.chdir(folder.path.parent)
    source = FileSource(["mesh"])
    store = followed(source)
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        folder.write("b.yaml", "b")
        [*_, batch] = await settle(watch, store, "a", "b")
        assert list(batch) == ["mesh/b.yaml"]
        folder.write("b.yaml", "b", "c")
        await settle(watch, store, "a", "b", "c")


async def test_without_notices_one_looks_now_and_then(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "inotify instance limit reached")

    monkeypatch.setattr("mizzen.sources.watching.FolderWatch", refuse)
    folder.write("a.yaml", "a")
    source = folder.source()
    store = followed(source)
    async with aclosing(watch_files(source, poll_seconds=0.02)) as watch:
        folder.write("b.yaml", "b")
        await settle(watch, store, "a", "b")


async def test_closing_ends_the_waiting_thread_at_once(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    source = folder.source()
    waiting = asyncio.Event()

    async def follow() -> None:
        async for _ in watch_files(source, poll_seconds=NEVER):
            waiting.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(follow())
        await waiting.wait()
        task.cancel()
    # asyncio.run joins its threads: one that goes on waiting would hold up the end of the program.
    async with asyncio.timeout(PATIENCE):
        await asyncio.get_running_loop().shutdown_default_executor()


async def test_a_receiver_that_waits_is_told_that_nothing_changed(folder: Folder) -> None:
    folder.write("a.yaml", "a")
    source = folder.source()
    store = followed(source)
    waits = True
    async with aclosing(watch_files(source, poll_seconds=NEVER, is_delaying=lambda: waits)) as watch:
        async with asyncio.timeout(PATIENCE):
            assert await anext(watch) == {}
            folder.write("b.yaml", "b")
            while not (batch := await anext(watch)):
                pass
        store.apply(batch)
        waits = False
        folder.write("c.yaml", "c")
        await settle(watch, store, "a", "b", "c")


async def test_when_notices_were_lost_everything_is_compared_by_content(folder: Folder) -> None:
    file = folder.write("a.yaml", "a")
    folder.write("deep/c.yaml", "c")
    source = folder.source()
    store = followed(source)
    room = await asyncio.to_thread(QUEUED.read_text)
    async with aclosing(watch_files(source, poll_seconds=NEVER)) as watch:
        folder.write("b.yaml", "b")
        await settle(watch, store, "a", "b", "c")
        others = [folder.path / "a.log", folder.path / "b.log"]
        for other in others:
            other.write_text("")
        for turn in range(int(room) + 10):
            os.utime(others[turn % 2])
        folder.write("deep/c.yaml", "d")
        file.write_text(folder.document("e"))
        await settle(watch, store, "b", "d", "e")
