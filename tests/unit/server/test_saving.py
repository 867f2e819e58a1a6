"""What is saved of the applied files, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from mizzen.config import ParsedFile
from mizzen.server.saving import Documents, Files, Saving


class Disk:
    """Has what was saved. `in_force` answers when `answer` is set."""

    def __init__(self) -> None:
        self.saved: list[tuple[str, ...]] = []
        self.answer = asyncio.Event()
        self.answer.set()
        self.saving = Saving(self.in_force)
        self.saving.save = self.save

    async def in_force(self, files: Files) -> Documents:
        await self.answer.wait()
        return dict.fromkeys(files, ())

    def save(self, documents: Mapping[str, object]) -> None:
        self.saved.append(tuple(documents))


async def test_nothing_is_saved_before_proxies_are_served() -> None:
    disk = Disk()
    disk.saving.note({"a.yaml": None})
    await disk.saving.save_rest()
    assert disk.saved == []
    await disk.saving.begin()
    assert disk.saved == [("a.yaml",)]


async def test_what_is_saved_is_not_saved_again() -> None:
    disk = Disk()
    disk.saving.note({"a.yaml": None})
    await disk.saving.begin()
    disk.saving.note({"b.yaml": None})
    await disk.saving.save_rest()
    await disk.saving.save_rest()
    assert disk.saved == [("a.yaml",), ("b.yaml",)]


async def test_a_file_that_changes_meanwhile_is_saved_again() -> None:
    disk = Disk()
    disk.saving.note({"a.yaml": None, "b.yaml": None})
    disk.answer.clear()
    first = asyncio.create_task(disk.saving.begin())
    await asyncio.sleep(0)
    disk.saving.note({"a.yaml": ParsedFile("a.yaml")})
    disk.answer.set()
    await first
    await disk.saving.save_rest()
    assert disk.saved == [("a.yaml", "b.yaml"), ("a.yaml",)]


async def test_what_a_cancelled_task_did_not_save_is_saved_with_the_rest() -> None:
    disk = Disk()
    disk.saving.note({"a.yaml": None})
    disk.answer.clear()
    first = asyncio.create_task(disk.saving.begin())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    disk.answer.set()
    await disk.saving.save_rest()
    assert disk.saved == [("a.yaml",)]


async def test_a_server_that_saves_nothing_remembers_nothing() -> None:
    disk = Disk()
    disk.saving.save = None
    disk.saving.note({"a.yaml": None})
    await disk.saving.begin()
    disk.saving.save = disk.save
    await disk.saving.save_rest()
    assert disk.saved == []
