"""The way back from an update that fails halfway."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final

_ABSENT: Final = object()


class Undo:
    """Remembers how an object was before an update. It costs what the update touches.

    Args:
        changed: the object.
        replaced: its attributes that the update puts other values in the place of.
        edited: its attributes that are dictionaries, which the update edits in place.
    """

    def __init__(self, changed: object, replaced: Iterable[str], edited: Iterable[str]) -> None:
        self._changed = changed
        self._values = {name: getattr(changed, name) for name in replaced}
        self._edited = tuple(edited)
        self._entries: list[tuple[dict[Hashable, Any], dict[Hashable, Any]]] = []

    def note(self, keys: Iterable[Hashable]) -> None:
        """Remember what the dictionaries have under `keys`, which are all that the update will edit."""
        keys = tuple(keys)
        for name in self._edited:
            held = getattr(self._changed, name)
            self._entries.append((held, {key: held.get(key, _ABSENT) for key in keys}))

    def restore(self) -> None:
        """Bring everything back to how it was."""
        for name, value in self._values.items():
            setattr(self._changed, name, value)
        for held, entries in self._entries:
            for key, value in entries.items():
                if value is _ABSENT:
                    held.pop(key, None)
                else:
                    held[key] = value
