"""What is in force and what was refused: the memory between one state of the files and the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mizzen.config.codes import DUPLICATE_DOCUMENT
from mizzen.config.diagnostics import Diagnostic, Origin, Severity, bounded, in_reading_order
from mizzen.config.document import Config, ConfigKey, Document
from mizzen.config.lines import DocumentLines
from mizzen.config.typed_documents import to_config
from mizzen.config.yaml_documents import ParsedFile, RefusedDocument


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What a batch of files changed in force: new or changed configurations, and the keys that are gone.

    `moved` say what they said before, at other lines: new objects with the same `spec`.
    """

    updated: tuple[Config[Any], ...] = ()
    removed: tuple[ConfigKey, ...] = ()
    moved: Mapping[ConfigKey, Config[Any]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.updated or self.removed or self.moved)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that is not in force as it is written now.

    `in_force` is where the version that still is in force was written, None if there is none.
    """

    key: ConfigKey
    origin: Origin
    diagnostics: tuple[Diagnostic, ...]
    in_force: Origin | None


@dataclass(frozen=True, slots=True)
class Valid:
    """The last valid version of a document of a file, with the digest of what it says.

    `origin` is where that version was written. `current`: it is what the file says now.
    """

    key: ConfigKey
    digest: bytes
    origin: Origin
    current: bool


@dataclass(slots=True)
class _Claim:
    """A file's claim on a key: what its document says now, and its last valid version.

    `withheld`: the file no longer shows the document, and something in it cannot be told, so that the
    document may still be meant. `inherited`: the last valid version was written in another file, which has it
    no more. Any other claim goes before such ones.
    """

    key: ConfigKey
    origin: Origin
    config: Config[Any] | None
    digest: bytes
    diagnostics: tuple[Diagnostic, ...] = ()
    refused: bool = False
    withheld: bool = False
    inherited: bool = False


@dataclass(slots=True)
class _File:
    """A file's claims by key, and the findings that belong to none of them."""

    claims: dict[ConfigKey, _Claim] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def has_findings(self) -> bool:
        """Whether there is anything to say about the file or a document in it."""
        return bool(self.diagnostics) or any(
            claim.diagnostics or claim.refused for claim in self.claims.values()
        )


class ConfigStore:
    """Keeps the configurations in force while files change, so that a bad input never hurts a good one.

    * An invalid version of a document is refused; its last valid version stays in force.
    * A broken file keeps in force everything that it had.
    * Of documents with the same key, that of the first file by name is in force, in a file the first by line,
      whatever came earlier in time; the others are errors.
    * A document that did not change keeps its Config object. If only its lines did, it is an update that
      keeps the typed spec, by which anything that shows no lines can tell that nothing changed.

    Pure: no IO. Owned by one task; `configs()` is a snapshot that later calls do not change.
    """

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._claimants: dict[ConfigKey, dict[str, _Claim]] = {}
        self._in_force: dict[ConfigKey, Config[Any]] = {}
        self._digests: dict[ConfigKey, bytes] = {}
        # What there is to say is asked for after every change, and mostly there is nothing.
        self._with_findings: dict[str, _File] = {}
        self._contested: set[ConfigKey] = set()
        self._snapshot: tuple[Config[Any], ...] | None = None

    def apply(self, files: Mapping[str, ParsedFile | None]) -> ConfigChange:
        """Take over a batch of changed files (None: it is gone) at once; return what changed in force."""
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
            if file is not None and file.has_findings:
                self._with_findings[name] = file
            else:
                self._with_findings.pop(name, None)
        return self._settle(touched)

    def configs(self) -> tuple[Config[Any], ...]:
        """Return everything in force, ordered by kind, namespace and name."""
        if self._snapshot is None:
            self._snapshot = tuple(sorted(self._in_force.values(), key=_order))
        return self._snapshot

    def get(self, key: ConfigKey) -> Config[Any] | None:
        """Return the configuration in force under a key."""
        return self._in_force.get(key)

    def valid(self, file: str) -> tuple[Valid, ...]:
        """Return the last valid versions of a file's documents; nothing if there is no such file."""
        held = self._files.get(file, _File())
        return tuple(
            Valid(claim.key, claim.digest, claim.config.origin, not (claim.refused or claim.withheld))
            for claim in held.claims.values()
            if claim.config is not None
        )

    def holds(self, path: str) -> bool:
        """Tell whether valid documents of that file, or of files in that folder, are known."""
        folder = path.rstrip("/") + "/"
        return any(
            (name == path or name.startswith(folder)) and any(claim.config for claim in file.claims.values())
            for name, file in self._files.items()
        )

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return all current findings, ordered by file, line and path."""
        return tuple(in_reading_order(self._findings()))

    def refused(self) -> Mapping[ConfigKey, Refusal]:
        """Return the documents that are not in force as they are written now, by their keys.

        What is wrong with each comes in the order of its lines.
        """
        found: dict[ConfigKey, Refusal] = {}
        for _, file in sorted(self._with_findings.items()):
            for key, claim in file.claims.items():
                if claim.refused and not claim.withheld and key not in found:
                    why = tuple(in_reading_order(claim.diagnostics or file.diagnostics))
                    found[key] = Refusal(key, claim.origin, why, self._origin_in_force(key))
        return found

    def _origin_in_force(self, key: ConfigKey) -> Origin | None:
        config = self._in_force.get(key)
        return config.origin if config is not None else None

    def _findings(self) -> Iterator[Diagnostic]:
        for file in self._with_findings.values():
            yield from file.diagnostics
            for claim in file.claims.values():
                if not claim.withheld:
                    yield from claim.diagnostics
        for key in self._contested:
            yield from self._conflicts(key, self._claimants[key])

    def _conflicts(self, key: ConfigKey, claims: Mapping[str, _Claim]) -> Iterator[Diagnostic]:
        winner = _first(claims.values())
        for claim in claims.values():
            if winner is not None and claim is not winner and not claim.withheld:
                yield _duplicate(key, claim.origin, winner.origin)

    def _drop(self, name: str) -> Iterable[ConfigKey]:
        file = self._files.pop(name, None)
        return self._unclaim(name, file.claims) if file is not None else ()

    def _keep_all(self, name: str, parsed: ParsedFile) -> None:
        """Refuse a broken file: show what is wrong in it, and leave in force what it had."""
        file = self._files.setdefault(name, _File())
        shown = list(parsed.diagnostics)
        for document in parsed.documents:
            shown.extend(to_config(document)[1])
        for refused in parsed.refused:
            shown.extend(refused.diagnostics)
        for claim in file.claims.values():
            claim.diagnostics, claim.refused = (), True
        file.diagnostics = bounded(shown)

    def _replace(self, name: str, parsed: ParsedFile) -> set[ConfigKey]:
        """Take over what a file says now; return the keys whose claims it touches."""
        old = self._files.get(name, _File())
        claims: dict[ConfigKey, _Claim] = {}
        shown = list(parsed.diagnostics)
        everything: list[Document | RefusedDocument] = [*parsed.documents, *parsed.refused]
        for written in sorted(everything, key=lambda each: each.origin.line):
            key, origin = written.key, written.origin
            first = claims.get(key)
            if first is not None:
                shown.append(_duplicate(key, origin, first.origin))
            elif isinstance(written, Document):
                claims[key] = self._claim(written, old.claims.get(key))
            else:
                claims[key] = _refused(key, origin, written.diagnostics, old.claims.get(key))
        if parsed.unidentified:
            for key, claim in old.claims.items():
                if key not in claims and claim.config is not None:
                    claims[key] = replace(claim, withheld=True)
        self._files[name] = _File(claims, bounded(shown))
        touched = {
            key
            for key in old.claims.keys() | claims.keys()
            if not _same(old.claims.get(key), claims.get(key))
        }
        self._unclaim(name, old.claims)
        for key, claim in claims.items():
            claimants = self._claimants.setdefault(key, {})
            claimants[name] = claim
            if len(claimants) > 1:
                self._contested.add(key)
        return touched

    def _claim(self, document: Document, last: _Claim | None) -> _Claim:
        digest = document.digest
        if last is not None and last.config is not None and last.digest == digest:
            return _unchanged(last, last.config, document)
        config, diagnostics = to_config(document)
        if config is not None:
            return _Claim(document.key, document.origin, config, digest, diagnostics)
        return _refused(document.key, document.origin, diagnostics, last)

    def _unclaim(self, name: str, claims: Iterable[ConfigKey]) -> set[ConfigKey]:
        for key in claims:
            claimants = self._claimants[key]
            del claimants[name]
            if len(claimants) < 2:
                self._contested.discard(key)
            if not claimants:
                del self._claimants[key]
        return set(claims)

    def _settle(self, touched: set[ConfigKey]) -> ConfigChange:
        """Decide anew which claim on each touched key is in force."""
        updated: list[Config[Any]] = []
        removed: list[ConfigKey] = []
        moved: dict[ConfigKey, Config[Any]] = {}
        for key in touched:
            claims = self._claimants.get(key, {})
            before = self._in_force.get(key)
            winner = _first(claims.values())
            if winner is None and claims and before is not None:
                # Moved to another file and invalid there: its last valid version is now that file's.
                heir = min(claims.values(), key=lambda claim: claim.origin)
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
        return ConfigChange(tuple(sorted(updated, key=_order)), tuple(sorted(removed)), moved)


def _first(claims: Iterable[_Claim]) -> _Claim | None:
    """Return the claim that is in force: what files show themselves goes first, then by file and line."""
    valid = [claim for claim in claims if claim.config is not None]
    return min(valid, key=lambda claim: (claim.withheld or claim.inherited, claim.origin)) if valid else None


def _order(config: Config[Any]) -> tuple[str, str, str]:
    return config.kind, config.namespace, config.name


def _same(old: _Claim | None, new: _Claim | None) -> bool:
    return (
        old is not None
        and new is not None
        and old.config is new.config
        and old.config is not None
        and old.withheld == new.withheld
    )


def _unchanged(last: _Claim, config: Config[Any], document: Document) -> _Claim:
    """Return the claim of a document that says what it said when last valid.

    Its object stays if its place does; at another place it is another one with the same spec, as lines are
    handed on from it.
    """
    stays = config.origin == document.origin and _same_lines(config, document)
    if not stays:
        config = replace(config, origin=document.origin, lines=document.lines)
    diagnostics = last.diagnostics
    if last.refused or last.withheld or (diagnostics and not stays):
        diagnostics = to_config(document)[1]
    return _Claim(document.key, document.origin, config, last.digest, diagnostics)


def _same_lines(config: Config[Any], document: Document) -> bool:
    old, new = config.lines, document.lines
    return isinstance(old, DocumentLines) and isinstance(new, DocumentLines) and old.same_as(new)


def _refused(
    key: ConfigKey, origin: Origin, diagnostics: tuple[Diagnostic, ...], last: _Claim | None
) -> _Claim:
    """Return the claim of an invalid document: it keeps the last valid version, if there was one."""
    if last is None:
        return _Claim(key, origin, None, b"", diagnostics, refused=True)
    return _Claim(key, origin, last.config, last.digest, diagnostics, refused=True, inherited=last.inherited)


def _duplicate(key: ConfigKey, origin: Origin, first: Origin) -> Diagnostic:
    message = f"{key} is written twice, first at {first}, which is in force; remove or rename one of them"
    return Diagnostic(Severity.ERROR, DUPLICATE_DOCUMENT, message, origin)
