"""Saves the documents in force, for the next server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from mizzen.config import ParsedFile
from mizzen.server.former import ValidDocument

Files = Mapping[str, ParsedFile | None]
Documents = Mapping[str, tuple[ValidDocument, ...]]
"""Documents by their file."""


class Saving:
    """Remembers the files whose documents are not saved yet, and saves these.

    Args:
        in_force: returns the documents of these files that are in force.

    Attributes:
        save: saves documents; None if the server saves nothing.
    """

    def __init__(self, in_force: Callable[[Files], Awaitable[Documents]]) -> None:
        self.save: Callable[[Documents], None] | None = None
        self._in_force = in_force
        self._unsaved: dict[str, ParsedFile | None] = {}
        self._begun = False

    def note(self, files: Files) -> None:
        """Note files that are about to be applied."""
        self._unsaved.update(files)

    async def begin(self) -> None:
        """Save from now on: proxies are served, and already lack what is missing."""
        self._begun = True
        await self.save_rest()

    async def save_rest(self) -> None:
        """Save what is not saved yet, also if the task that applied it was cancelled."""
        if self.save is None:
            self._unsaved.clear()
        if self.save is None or not self._begun or not self._unsaved:
            return
        unsaved = dict(self._unsaved)
        documents = await self._in_force(unsaved)
        self._unsaved = {
            name: file
            for name, file in self._unsaved.items()
            if name not in unsaved or unsaved[name] is not file
        }
        self.save(documents)
