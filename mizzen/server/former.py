"""The documents that a former server had in force, from the state directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mizzen.config import ConfigKey, Document, Origin, ParsedFile
from mizzen.config.store import ConfigStore


@dataclass(frozen=True, slots=True)
class ValidDocument:
    """The last valid version of a document of a file. `document` is None if an older version than that of the
    file is in force: its content was saved before, with the same digest."""

    key: ConfigKey
    digest: bytes
    origin: Origin
    document: Document | None


@dataclass(frozen=True, slots=True)
class FormerDocument:
    """A document that was in force for a file, since a time in seconds since 1970."""

    file: str
    document: Document
    since: float


class FormerDocuments:
    """The documents of a former server, by file and by key."""

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
        return {
            file: frozenset(one.document.key for one in documents)
            for file, documents in self._by_file.items()
        }

    def covers(self, path: str) -> bool:
        """True if documents of this file, or of files in this folder, are known."""
        folder = path.rstrip("/") + "/"
        return path in self._by_file or any(file.startswith(folder) for file in self._by_file)

    def restore(
        self, store: ConfigStore, files: Mapping[str, ParsedFile | None]
    ) -> dict[ConfigKey, FormerDocument]:
        """Put former documents in force where `files`, just applied to the store, are refused or unreadable.

        The result is the same as if the store had seen the former documents first. Returns those that are in
        force again.
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
            # The file's own former documents, and those of other files that this file now has in a refused
            # form.
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
    """Return the restored documents that are still in force."""
    return {key: one for key, one in restored.items() if _is_in_force(store, one)}
