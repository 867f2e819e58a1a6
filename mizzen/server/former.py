"""The documents that an earlier server had in force, as the state directory has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mizzen.config import ConfigKey, Document, Origin, ParsedFile
from mizzen.config.store import ConfigStore


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """The last valid version of a document of a file. `document` is None where an older one than that which
    the file has now is in force: its content was told before, under the same digest."""

    key: ConfigKey
    digest: bytes
    origin: Origin
    document: Document | None


@dataclass(frozen=True, slots=True)
class FormerDocument:
    """A document that was in force for a file, since a time in seconds of the epoch."""

    file: str
    document: Document
    since: float


class FormerDocuments:
    """Documents of an earlier server, by their files and by their keys."""

    def __init__(self, documents: Iterable[FormerDocument] = ()) -> None:
        self._by_file: dict[str, list[FormerDocument]] = {}
        self._by_key: dict[ConfigKey, FormerDocument] = {}
        for each in documents:
            self._by_file.setdefault(each.file, []).append(each)
            self._by_key.setdefault(each.document.key, each)

    def __bool__(self) -> bool:
        return bool(self._by_file)

    @property
    def keys(self) -> Mapping[str, frozenset[ConfigKey]]:
        """The keys of each file's documents."""
        return {file: frozenset(one.document.key for one in held) for file, held in self._by_file.items()}

    def covers(self, path: str) -> bool:
        """Tell whether documents of that file, or of files in that folder, are known."""
        folder = path.rstrip("/") + "/"
        return path in self._by_file or any(file.startswith(folder) for file in self._by_file)

    def restore(
        self, store: ConfigStore, files: Mapping[str, ParsedFile | None]
    ) -> dict[ConfigKey, FormerDocument]:
        """Put in force what `files`, which the store has just been given, refuse or cannot tell.

        It ends as if the store had seen the former documents first. Returns those that are in force again.
        """
        refused: dict[str, list[FormerDocument]] = {}
        for key, refusal in store.refused().items():
            if refusal.in_force is None and key in self._by_key:
                refused.setdefault(refusal.origin.file, []).append(self._by_key[key])
        troubled = {
            name
            for name, parsed in files.items()
            if parsed is not None and (parsed.broken or parsed.unidentified)
        }
        tried: dict[ConfigKey, FormerDocument] = {}
        for name in sorted({*troubled, *refused, *(self._by_file.keys() - files.keys())}):
            # What the file had itself, and what it refuses now and another file had.
            former = {one.document.key: one for one in (*refused.get(name, ()), *self._by_file.get(name, ()))}
            if not former:
                continue
            documents = tuple(one.document for one in former.values())
            steps: list[ParsedFile | None] = [None, ParsedFile(name, documents)]
            for step in (*steps, files[name]) if name in files else steps:
                store.apply({name: step})
            tried.update(former)
        return {key: one for key, one in tried.items() if _is_in_force(store, one)}


def _is_in_force(store: ConfigStore, former: FormerDocument) -> bool:
    config = store.get(former.document.key)
    return config is not None and config.lines is former.document.lines


def still_in_force(
    store: ConfigStore, restored: Mapping[ConfigKey, FormerDocument]
) -> dict[ConfigKey, FormerDocument]:
    """Return those restored documents that are in force yet."""
    return {key: one for key, one in restored.items() if _is_in_force(store, one)}
