"""The store: the configurations in force and the refused documents, over changes of the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mizzen.config.codes import DUPLICATE_DOCUMENT
from mizzen.config.contained_typing import contained_config
from mizzen.config.diagnostics import Diagnostic, Origin, Severity, bounded, in_reading_order
from mizzen.config.document import Config, ConfigKey, Document
from mizzen.config.lines import DocumentLines
from mizzen.config.refused import hosts_written
from mizzen.config.yaml_documents import ParsedFile, RefusedDocument


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What changed in force by a batch of files: new or changed configurations, and removed keys.

    `moved` have the same content as before at different lines: new objects with the same `spec`.
    """

    updated: tuple[Config[Any], ...] = ()
    removed: tuple[ConfigKey, ...] = ()
    moved: Mapping[ConfigKey, Config[Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.updated or self.removed or self.moved)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document whose current text is not in force.

    `in_force` is the origin of the version that is still in force, or None. `hosts` are those that a
    ServiceEntry or DestinationRule names.
    """

    key: ConfigKey
    origin: Origin
    diagnostics: tuple[Diagnostic, ...]
    in_force: Origin | None
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Valid:
    """The last valid version of a document of a file, with the digest of its content.

    `origin` is where that version was written. `current`: the file still says the same.
    """

    key: ConfigKey
    digest: bytes
    origin: Origin
    current: bool


@dataclass(slots=True)
class _Entry:
    """A file's entry for a key: what its document says now, and the last valid version.

    `withheld`: the file no longer shows the document, but a part of the file could not be identified, so the
    document may still be meant. `inherited`: the last valid version was written in a different file, which no
    longer has it. An entry that is neither takes precedence.
    """

    key: ConfigKey
    origin: Origin
    config: Config[Any] | None
    digest: bytes
    diagnostics: tuple[Diagnostic, ...] = ()
    refused: bool = False
    withheld: bool = False
    inherited: bool = False
    hosts: frozenset[str] = frozenset()


@dataclass(slots=True)
class _File:
    """A file's entries by key, and the diagnostics that belong to none of them."""

    entries: dict[ConfigKey, _Entry] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def has_diagnostics(self) -> bool:
        """True if there are diagnostics about the file or a document in it."""
        return bool(self.diagnostics) or any(
            entry.diagnostics or entry.refused for entry in self.entries.values()
        )


class ConfigStore:
    """Keeps the configurations in force while files change, so that a bad input never damages a good one.

    * An invalid version of a document is refused; its last valid version stays in force.
    * A broken file keeps everything in force that it had.
    * If several documents have the same key, that of the first file by name is in force, and within a file
      the first by line, regardless of which came first in time; the rest are errors.
    * An unchanged document keeps its Config object. If only its lines changed, the new object keeps the typed
      spec, so that code which shows no lines can tell that nothing changed.

    Pure: no IO. Owned by one task; later calls do not change a result of `configs()`.
    """

    def __init__(self, *, once: bool = False) -> None:
        """With `once` the store takes a single batch, and keeps nothing for later ones."""
        self._once = once
        self._files: dict[str, _File] = {}
        self._entries_of_key: dict[ConfigKey, dict[str, _Entry]] = {}
        self._in_force: dict[ConfigKey, Config[Any]] = {}
        self._digests: dict[ConfigKey, bytes] = {}
        # Diagnostics are asked for after every change, and usually there are none.
        self._with_diagnostics: dict[str, _File] = {}
        self._contested: set[ConfigKey] = set()
        self._snapshot: tuple[Config[Any], ...] | None = None

    def apply(self, files: Mapping[str, ParsedFile | None]) -> ConfigChange:
        """Take over a batch of changed files at once (None: the file is gone);
        return what changed in force."""
        assert not (self._once and self._files), "another batch for a store that takes one"
        touched: set[ConfigKey] = set()
        for name in sorted(files):
            parsed = files[name]
            if parsed is None:
                touched.update(self._drop(name))
            elif parsed.broken:
                self._keep_all(name, parsed)
            else:
                touched.update(self._replace(name, parsed))
            file = self._files.get(name)
            if file is not None and file.has_diagnostics:
                self._with_diagnostics[name] = file
            else:
                self._with_diagnostics.pop(name, None)
        return self._settle(touched)

    def configs(self) -> tuple[Config[Any], ...]:
        """Return all configurations in force, ordered by kind, namespace and name."""
        if self._snapshot is None:
            self._snapshot = tuple(sorted(self._in_force.values(), key=_key))
        return self._snapshot

    def get(self, key: ConfigKey) -> Config[Any] | None:
        """Return the configuration in force under a key."""
        return self._in_force.get(key)

    def valid(self, file: str) -> tuple[Valid, ...]:
        """Return the last valid versions of a file's documents; empty if there is no such file."""
        found = self._files.get(file, _File())
        return tuple(
            Valid(entry.key, entry.digest, entry.config.origin, not (entry.refused or entry.withheld))
            for entry in found.entries.values()
            if entry.config is not None
        )

    def holds(self, path: str) -> bool:
        """Tell whether the store has valid documents of that file, or of files in that folder."""
        folder = path.rstrip("/") + "/"
        return any(
            (name == path or name.startswith(folder)) and any(entry.config for entry in file.entries.values())
            for name, file in self._files.items()
        )

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return all current diagnostics, ordered by file, line and path."""
        return tuple(in_reading_order(self._diagnostics()))

    def refused(self) -> Mapping[ConfigKey, Refusal]:
        """Return the documents whose current text is not in force, by key.

        Among them are those that their file no longer shows, while a part of it cannot be identified. The
        diagnostics about each are ordered by line; they are those of the file if none is about the document.
        """
        found: dict[ConfigKey, Refusal] = {}
        for _, file in sorted(self._with_diagnostics.items()):
            for key, entry in file.entries.items():
                if entry.withheld:
                    is_refused = _first(self._entries_of_key[key].values()) is entry
                else:
                    is_refused = entry.refused
                if is_refused and key not in found:
                    own = () if entry.withheld else entry.diagnostics
                    why = tuple(in_reading_order(own or file.diagnostics))
                    found[key] = Refusal(key, entry.origin, why, self._origin_in_force(key), entry.hosts)
        return found

    def _origin_in_force(self, key: ConfigKey) -> Origin | None:
        config = self._in_force.get(key)
        return config.origin if config is not None else None

    def _diagnostics(self) -> Iterator[Diagnostic]:
        for file in self._with_diagnostics.values():
            yield from file.diagnostics
            for entry in file.entries.values():
                if not entry.withheld:
                    yield from entry.diagnostics
        for key in self._contested:
            yield from self._conflicts(key, self._entries_of_key[key])

    def _conflicts(self, key: ConfigKey, entries: Mapping[str, _Entry]) -> Iterator[Diagnostic]:
        winner = _first(entries.values())
        for entry in entries.values():
            if winner is not None and entry is not winner and not entry.withheld:
                yield _duplicate(key, entry.origin, winner.origin)

    def _drop(self, name: str) -> Iterable[ConfigKey]:
        file = self._files.pop(name, None)
        return self._remove_entries(name, file.entries) if file is not None else ()

    def _keep_all(self, name: str, parsed: ParsedFile) -> None:
        """Refuse a broken file: report what is wrong, and leave in force what it had."""
        file = self._files.setdefault(name, _File())
        shown = list(parsed.diagnostics)
        for document in parsed.documents:
            shown.extend(contained_config(document)[1])
        for refused in parsed.refused:
            shown.extend(refused.diagnostics)
        for entry in file.entries.values():
            entry.diagnostics, entry.refused = (), True
        file.diagnostics = bounded(shown)

    def _replace(self, name: str, parsed: ParsedFile) -> set[ConfigKey]:
        """Take over what a file says now; return the keys whose entries it touches."""
        old = self._files.get(name, _File())
        entries: dict[ConfigKey, _Entry] = {}
        shown = list(parsed.diagnostics)
        everything: list[Document | RefusedDocument] = [*parsed.documents, *parsed.refused]
        for written in sorted(everything, key=lambda each: each.origin.line):
            key, origin = written.key, written.origin
            first = entries.get(key)
            if first is not None:
                shown.append(_duplicate(key, origin, first.origin))
            elif isinstance(written, Document):
                entries[key] = self._entry(written, old.entries.get(key))
            else:
                entries[key] = _refused(written, written.diagnostics, old.entries.get(key))
        if parsed.unidentified:
            for key, entry in old.entries.items():
                if key not in entries and entry.config is not None:
                    entries[key] = replace(entry, withheld=True)
        self._files[name] = _File(entries, bounded(shown))
        touched = {
            key
            for key in old.entries.keys() | entries.keys()
            if not _same(old.entries.get(key), entries.get(key))
        }
        self._remove_entries(name, old.entries)
        for key, entry in entries.items():
            entries_of_key = self._entries_of_key.setdefault(key, {})
            entries_of_key[name] = entry
            if len(entries_of_key) > 1:
                self._contested.add(key)
        return touched

    def _entry(self, document: Document, last: _Entry | None) -> _Entry:
        digest = b"" if self._once else document.digest
        if last is not None and last.config is not None and last.digest == digest:
            return _unchanged(last, last.config, document)
        config, diagnostics = contained_config(document)
        if config is not None:
            return _Entry(document.key, document.origin, config, digest, diagnostics)
        return _refused(document, diagnostics, last)

    def _remove_entries(self, name: str, entries: Iterable[ConfigKey]) -> set[ConfigKey]:
        for key in entries:
            entries_of_key = self._entries_of_key[key]
            del entries_of_key[name]
            if len(entries_of_key) < 2:
                self._contested.discard(key)
            if not entries_of_key:
                del self._entries_of_key[key]
        return set(entries)

    def _settle(self, touched: set[ConfigKey]) -> ConfigChange:
        """Decide again which entry of each touched key is in force."""
        updated: list[Config[Any]] = []
        removed: list[ConfigKey] = []
        moved: dict[ConfigKey, Config[Any]] = {}
        for key in touched:
            entries = self._entries_of_key.get(key, {})
            before = self._in_force.get(key)
            winner = _first(entries.values())
            if winner is None and entries and before is not None:
                # Moved to a different file and invalid there: that file inherits its last valid version.
                heir = min(entries.values(), key=lambda entry: entry.origin)
                heir.config, heir.inherited, heir.digest = before, True, self._digests[key]
                continue
            after = winner.config if winner is not None else None
            if winner is not None:
                self._digests[key] = winner.digest
            if after is before:
                continue
            if after is None:
                del self._in_force[key], self._digests[key]
                removed.append(key)
            else:
                self._in_force[key] = after
                if before is not None and before.spec is after.spec:
                    moved[key] = after
                else:
                    updated.append(after)
        if updated or removed or moved:
            self._snapshot = None
        return ConfigChange(tuple(sorted(updated, key=_key)), tuple(sorted(removed)), moved)


def _first(entries: Iterable[_Entry]) -> _Entry | None:
    """Return the entry that is in force: those that files still show come first, then by file and line."""
    valid = [entry for entry in entries if entry.config is not None]
    return min(valid, key=lambda entry: (entry.withheld or entry.inherited, entry.origin)) if valid else None


def _key(config: Config[Any]) -> ConfigKey:
    return config.key


def _same(old: _Entry | None, new: _Entry | None) -> bool:
    return (
        old is not None
        and new is not None
        and old.config is new.config
        and old.config is not None
        and old.withheld == new.withheld
    )


def _unchanged(last: _Entry, config: Config[Any], document: Document) -> _Entry:
    """Return the entry of a document with the content that was last valid.

    Its object stays if its lines do. Otherwise it gets a new object with the same spec, as origins are taken
    from the object.
    """
    stays = config.origin == document.origin and _same_lines(config, document)
    if not stays:
        config = replace(config, origin=document.origin, lines=document.lines)
    diagnostics = last.diagnostics
    if last.refused or last.withheld or (diagnostics and not stays):
        diagnostics = contained_config(document)[1]
    return _Entry(document.key, document.origin, config, last.digest, diagnostics)


def _same_lines(config: Config[Any], document: Document) -> bool:
    old, new = config.lines, document.lines
    return isinstance(old, DocumentLines) and isinstance(new, DocumentLines) and old.same_as(new)


def _refused(
    written: Document | RefusedDocument, diagnostics: tuple[Diagnostic, ...], last: _Entry | None
) -> _Entry:
    """Return the entry of an invalid document: it keeps the last valid version, if there was one."""
    hosts = hosts_written(written.key, written.content) if isinstance(written, Document) else written.hosts
    entry = _Entry(written.key, written.origin, None, b"", diagnostics, refused=True, hosts=hosts)
    if last is None:
        return entry
    return replace(entry, config=last.config, digest=last.digest, inherited=last.inherited)


def _duplicate(key: ConfigKey, origin: Origin, first: Origin) -> Diagnostic:
    message = f"{key} is written twice, first at {first}, which counts; remove or rename one of them"
    return Diagnostic(Severity.ERROR, DUPLICATE_DOCUMENT, message, origin)
