"""The configuration in force: from the files to the mesh."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from mizzen.config import (
    ConfigKey,
    ConfigStore,
    Diagnostic,
    Document,
    MeshConfig,
    ParsedFile,
    Severity,
)
from mizzen.config.codes import NOT_A_DOCUMENT, SYNTAX, UNREADABLE, UNTRANSLATABLE
from mizzen.config.document import Config, GroupKind
from mizzen.config.group_kinds import CONFIG_MAP, ENDPOINT_SLICE, ENDPOINTS, NODE, POD, WORKLOAD_ENTRY
from mizzen.config.store import ConfigChange, Refusal
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.fault_search import Changed, Withheld, updated_without_faults
from mizzen.mesh.rules.token_keys import NO_TOKEN_KEYS, TokenKeys
from mizzen.mesh.snapshot import Mesh
from mizzen.server.diagnostic_json import as_json
from mizzen.server.faults import Faults
from mizzen.server.former import FormerDocument, FormerDocuments, ValidDocument, still_in_force
from mizzen.server.mesh_config_file import MeshConfigFile
from mizzen.server.origins import CurrentOrigin
from mizzen.sources.loading import mesh_config_among

_UNREAD = frozenset({UNREADABLE, SYNTAX, NOT_A_DOCUMENT})


@dataclass(frozen=True, slots=True)
class ConfigurationView:
    """The state of the configuration, as a value that other threads may read.

    `start_blockers` are the diagnostics that delay a start: files that cannot be read, refused documents, a
    folder without files, invalid settings.
    """

    documents: Mapping[str, int]
    refused: tuple[Refusal, ...]
    diagnostics: tuple[Diagnostic, ...]
    changed: datetime | None
    start_blockers: tuple[Diagnostic, ...] = ()
    restored: Mapping[ConfigKey, FormerDocument] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """True if the whole content of the files is in force: all can be read, and no document is refused."""
        return not self.start_blockers

    def count(self, severity: Severity) -> int:
        """Return the number of diagnostics with this severity."""
        return sum(diagnostic.severity is severity for diagnostic in self.diagnostics)

    def with_diagnostics(self, more: Iterable[Diagnostic]) -> ConfigurationView:
        """Return the same view with further diagnostics, without duplicates."""
        return replace(self, diagnostics=tuple(dict.fromkeys((*self.diagnostics, *more))))

    def with_withheld(
        self, withheld: Collection[Withheld], current_origin: CurrentOrigin
    ) -> ConfigurationView:
        """Return the same view, with documents that cannot be translated counted as refused."""
        if not withheld:
            return self
        found = [(one, one.diagnostic.current(current_origin)) for one in withheld]
        more = {
            one.key: Refusal(
                one.key,
                told.origin,
                (told,),
                current_origin(one.in_force.origin) if one.in_force is not None else None,
                one.hosts,
            )
            for one, told in found
        }
        diagnostics = [diagnostic for refusal in more.values() for diagnostic in refusal.diagnostics]
        refused = (*(one for one in self.refused if one.key not in more), *more.values())
        return replace(self.with_diagnostics(diagnostics), refused=refused)

    def as_json(self) -> dict[str, Any]:
        """Return the part `configuration` of the status, without diagnostics of severity INFO."""
        return {
            "documents": dict(self.documents),
            "changed": self.changed.isoformat() if self.changed else None,
            "errors": self.count(Severity.ERROR),
            "warnings": self.count(Severity.WARNING),
            "refused": [
                {
                    "document": str(refused.key),
                    "in_force": str(refused.in_force) if refused.in_force else None,
                    "restored": _since(self.restored.get(refused.key)),
                    "diagnostics": [as_json(diagnostic) for diagnostic in refused.diagnostics],
                }
                for refused in self.refused
            ],
            "restored": [
                {"document": str(key), "origin": str(one.document.origin), "since": _since(one)}
                for key, one in sorted(self.restored.items())
            ],
            "diagnostics": [
                as_json(diagnostic)
                for diagnostic in self.diagnostics
                if diagnostic.severity is not Severity.INFO
            ],
        }


def _since(former: FormerDocument | None) -> str | None:
    """Return when a restored document first came into force."""
    return datetime.fromtimestamp(former.since, UTC).isoformat(timespec="seconds") if former else None


_NAMED_CHANGES = 10
_BUILT_AGAIN = "the mesh could not be updated and is built again"
_ENDPOINT_KINDS = frozenset({ENDPOINTS, ENDPOINT_SLICE, NODE, POD, WORKLOAD_ENTRY})


class Configuration:
    """Owns the store of documents and the mesh made of them. Not thread-safe."""

    def __init__(
        self,
        mesh_config_file: MeshConfigFile | None = None,
        *,
        domain: str = "cluster.local",
        certificates_served: bool = False,
        faults: Faults | None = None,
    ) -> None:
        self.faults = faults if faults is not None else Faults()
        """Notes faults of Mizzen."""
        self._unchecked: dict[tuple[ConfigKey | None, str], Diagnostic] = {}
        self._store = ConfigStore()
        self._file = mesh_config_file
        self._keys: dict[GroupKind, set[ConfigKey]] = {}
        self._mesh_config = mesh_config_file.mesh_config if mesh_config_file else MeshConfig()
        self._changed: datetime | None = None
        self._domain = domain
        self._certificates_served = certificates_served
        self._behind = False
        self._former = FormerDocuments()
        self._restored: dict[ConfigKey, FormerDocument] = {}
        self._log = structlog.get_logger("mizzen.config")
        self._token_keys = NO_TOKEN_KEYS
        self.mesh = self._build((), self._mesh_config)
        self.withheld: dict[ConfigKey, Withheld] = {}
        """The documents with which the mesh cannot be made."""

    def apply(self, files: Mapping[str, ParsedFile | None]) -> MeshDelta | None:
        """Apply a batch of changed files (None: removed), and read the file of `--mesh-config` again.

        Returns the change of the mesh, None if there is none.
        """
        change = self._store.apply(files)
        self._note_unchecked()
        if self._changed is not None:
            self._say(change)
        for config in change.updated:
            self._keys.setdefault(config.group_kind, set()).add(config.key)
        for key in change.removed:
            self._keys[key.group_kind].discard(key)
        mesh_config = self._find_mesh_config()
        if not change and mesh_config == self._mesh_config and not self._behind:
            return None
        self._changed = datetime.now(UTC)
        if mesh_config != self._mesh_config or self._behind:
            return self._rebuild(mesh_config)
        try:
            return self._update(self._with_withheld(change))
        except Exception:
            self.faults.note(_BUILT_AGAIN, exc_info=True)
            return self._rebuild(mesh_config)

    def _update(self, change: ConfigChange) -> MeshDelta:
        """Update the mesh. Documents with which it cannot be made are withheld; all others take effect."""
        mesh, delta, faults = updated_without_faults(self.mesh, change)
        new = [fault for fault in faults if fault.key not in self.withheld]
        if new:
            with suppress(Exception):
                # If a mesh can be built of all documents, the fault was in the incremental update.
                mesh = self._build(self._store.configs(), self._mesh_config)
                self.faults.note(_BUILT_AGAIN, traceback=new[0].traceback)
                delta, faults, new = MeshDelta(everything=True), (), []
        self.mesh = mesh
        for fault in new:
            self.faults.note(
                "the mesh cannot be made of a document",
                document=str(fault.key),
                traceback=fault.traceback,
            )
        self.withheld = {one.key: one for one in faults}
        return delta

    def _with_withheld(self, change: ConfigChange) -> ConfigChange:
        """Return the change together with the documents withheld so far: they may work now."""
        if not self.withheld:
            return change
        changed = {*change.removed, *(config.key for config in change.updated)}
        again = [(self.mesh.config(key), self._store.get(key)) for key in self.withheld if key not in changed]
        retried = Changed([pair for pair in again if pair[0] is not pair[1]])
        return ConfigChange(
            (*change.updated, *retried.updated), (*change.removed, *retried.removed), change.moved
        )

    def take_token_keys(self, keys: TokenKeys) -> MeshDelta | None:
        """Apply fetched keys of token issuers; return the change of the mesh, None if there is none."""
        self._token_keys = keys
        self.mesh, delta = self.mesh.with_token_keys(keys)
        return None if delta.is_empty else delta

    def begin(self, files: Mapping[str, ParsedFile | None], former: FormerDocuments) -> MeshDelta | None:
        """Apply all files at the start. Refused and unreadable documents stay in force as a former server had
        them.

        Returns the change of the mesh, None if there is none.
        """
        if not former:
            return self.apply(files)
        self._former = former
        self._store.apply(files)
        self._restored = former.restore(self._store, files)
        self._note_unchecked()
        for config in self._store.configs():
            self._keys.setdefault(config.group_kind, set()).add(config.key)
        self._changed = datetime.now(UTC)
        return self._rebuild(self._find_mesh_config())

    def valid_documents(self, files: Mapping[str, ParsedFile | None]) -> dict[str, tuple[ValidDocument, ...]]:
        """Return the last valid versions of the documents in `files`, which must have been applied."""
        found: dict[str, tuple[ValidDocument, ...]] = {}
        for name, parsed in files.items():
            written: dict[ConfigKey, Document] = {}
            for document in parsed.documents if parsed is not None else ():
                written.setdefault(document.key, document)
            found[name] = tuple(
                ValidDocument(one.key, one.digest, one.origin, written.get(one.key) if one.current else None)
                for one in self._store.valid(name)
            )
        return found

    def _note_unchecked(self) -> None:
        """Note the documents that are newly refused by a fault of Mizzen."""
        refusals = self._store.refused().values()
        found = (one for each in refusals for one in each.diagnostics if one.code == UNTRANSLATABLE)
        before, self._unchecked = self._unchecked, {(one.origin.document, one.message): one for one in found}
        for (document, _), one in self._unchecked.items():
            if (document, one.message) not in before:
                self.faults.note(
                    "a document could not be checked", document=str(document), traceback=one.traceback
                )

    def _say(self, change: ConfigChange) -> None:
        """Log the change: the search for the cause of an outage begins with what changed, and when."""
        removed = list(change.removed)
        updated = [config.key for config in change.updated]
        added = [key for key in updated if key not in self._keys.get(key.group_kind, ())]
        changed = [key for key in updated if key in self._keys.get(key.group_kind, ())]
        named = {
            what: [str(key) for key in sorted(keys)[:_NAMED_CHANGES]]
            + ([f"and {len(keys) - _NAMED_CHANGES} more"] if len(keys) > _NAMED_CHANGES else [])
            for what, keys in (("added", added), ("changed", changed), ("removed", removed))
            if keys
        }
        if not named:
            return
        # Endpoints written by another system change all day.
        quiet = all(key.group_kind in _ENDPOINT_KINDS for key in (*updated, *removed))
        (self._log.debug if quiet else self._log.info)("configuration changed", **named)

    def _rebuild(self, mesh_config: MeshConfig) -> MeshDelta:
        self._behind = True  # until it has succeeded
        before, self._mesh_config = self.mesh, mesh_config
        self.withheld = {}
        try:
            self.mesh = self._build(self._store.configs(), mesh_config)
        except Exception as error:
            self.mesh = self._build((), mesh_config)
            self._update(ConfigChange(self._store.configs(), ()))
            self._stand_in(before)
            if not self.withheld:  # else each document to blame is noted
                self.faults.note("the mesh could not be built at the first attempt", exc_info=error)
        self._behind = False
        return MeshDelta(everything=True)

    def _build(self, configs: Iterable[Config[Any]], mesh_config: MeshConfig) -> Mesh:
        return Mesh.build(
            configs,
            mesh_config,
            domain=self._domain,
            certificates_served=self._certificates_served,
            token_keys=self._token_keys,
        )

    def _stand_in(self, before: Mesh) -> None:
        """Restore withheld documents at the versions that the mesh had before."""
        for key, one in self.withheld.items():
            last = before.config(key)
            if last is not None and last is not one.wanted:
                self.mesh = updated_without_faults(self.mesh, ConfigChange((last,), ()))[0]
                self.withheld[key] = replace(one, in_force=self.mesh.config(key))

    def _find_mesh_config(self) -> MeshConfig:
        """Return the settings of `--mesh-config`; without that option, those of the ConfigMap `istio`, if
        any."""
        if self._file is not None:
            return self._file.read()
        maps = (self._store.get(key) for key in self._keys.get(CONFIG_MAP, ()))
        return mesh_config_among(config for config in maps if config is not None) or MeshConfig()

    def view(self) -> ConfigurationView:
        """Return the current view, with the diagnostics about documents and about the mesh."""
        diagnostics = [*map(self._with_what_stays, self._store.diagnostics()), *self.mesh.diagnostics]
        refused = tuple(self._store.refused().values())
        start_blockers = [
            one for one in self._store.diagnostics() if one.code in _UNREAD and not self._is_covered(one)
        ]
        if not self._former:  # else proxies never had documents without a former version
            start_blockers += (
                one for each in refused for one in each.diagnostics if one.severity is Severity.ERROR
            )
        if self._file is not None:
            diagnostics += self._file.diagnostics
            start_blockers += (one for one in self._file.diagnostics if one.severity is Severity.ERROR)
        view = ConfigurationView(
            documents={str(kind): len(keys) for kind, keys in self._keys.items() if keys},
            refused=refused,
            diagnostics=tuple(dict.fromkeys(diagnostics)),
            changed=self._changed,
            start_blockers=tuple(dict.fromkeys(start_blockers)),
            restored=still_in_force(self._store, self._restored),
        )
        return view.with_withheld(self.withheld.values(), self.mesh.current_origin)

    def _with_what_stays(self, diagnostic: Diagnostic) -> Diagnostic:
        """For a path that cannot be read, add to the message if anything of it is still in force."""
        if diagnostic.code != UNREADABLE or diagnostic.severity is not Severity.ERROR:
            return diagnostic
        if not self._store.holds(diagnostic.origin.file):
            return diagnostic
        return replace(
            diagnostic, message=f"{diagnostic.message}; what was read from it before stays in force"
        )

    def _is_covered(self, diagnostic: Diagnostic) -> bool:
        """True if a former server's documents are in force for a file that cannot be read."""
        return diagnostic.severity is Severity.ERROR and self._former.covers(diagnostic.origin.file)
