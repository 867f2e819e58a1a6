"""Reads two versions of the same files; files that are equal in both are parsed once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mizzen.config import (
    Config,
    ConfigChange,
    ConfigKey,
    ConfigStore,
    Diagnostic,
    MeshConfig,
    ParsedFile,
    parse_documents,
)
from mizzen.config.yaml_documents import MAX_FILE_BYTES, unreadable_file
from mizzen.sources.listing import list_files, read_file, why_unreadable
from mizzen.sources.loading import mesh_config_among


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one version. `contents` has, by the name that both versions share, the file's own name and
    its content. `problems` are paths that cannot be read."""

    contents: Mapping[str, tuple[str, bytes]]
    problems: Mapping[str, ParsedFile]

    def known_as(self, name: str) -> str:
        """Return the own name of a file, given its shared name; `file:line` is translated too."""
        file, colon, line = name.rpartition(":")
        if colon and line.isdecimal() and file in self.contents:
            return f"{self.contents[file][0]}:{line}"
        return self.contents[name][0] if name in self.contents else name


@dataclass(frozen=True, slots=True)
class TwoVersions:
    """The valid documents of the first version, and the change to the second one.

    `diagnostics` are the diagnostics of the second version. A document that is refused there stays as it was,
    as in a running server.
    """

    configs: tuple[Config[Any], ...]
    settings: MeshConfig
    change: ConfigChange
    new_settings: MeshConfig
    diagnostics: tuple[Diagnostic, ...]


def read_files(path: Path, name: str = "") -> Files:
    """Read a file, or the files of a folder as `mizzen serve` does. Their shared names begin with `name`."""
    root = str(path)
    listing = list_files([root])
    contents, problems = {}, dict(listing.problems)
    for file in listing.files:
        common = f"{name}{file.removeprefix(root)}"
        try:
            contents[common] = (file, read_file(file, MAX_FILE_BYTES + 1))
        except OSError as error:
            problems[file] = unreadable_file(file, why_unreadable(error))
    return Files(contents, problems)


def joined(parts: Iterable[Files]) -> Files:
    """Return the files of all parts as one version."""
    contents: dict[str, tuple[str, bytes]] = {}
    problems: dict[str, ParsedFile] = {}
    for part in parts:
        contents.update(part.contents)
        problems.update(part.problems)
    return Files(contents, problems)


def read_two_versions(
    old: Files, new: Files, *, settings: MeshConfig | None = None, new_settings: MeshConfig | None = None
) -> TwoVersions:
    """Return the valid documents of `old`, and the change to `new`. Raises nothing for users' errors.

    Without `settings` each version has those of the ConfigMap `istio` among its documents, or else defaults.
    """
    store = ConfigStore()
    before = _parsed(old.contents)
    store.apply({**before, **old.problems})
    configs = store.configs()
    changed: dict[str, ParsedFile | None] = {
        name: None for name in (*old.contents, *old.problems) if name not in new.contents
    }
    differing = {
        name: content
        for name, content in new.contents.items()
        if name not in old.contents or old.contents[name][1] != content[1]
    }
    changed.update(_parsed(differing, before))
    changed.update(new.problems)
    change = store.apply(changed)
    return TwoVersions(
        configs,
        settings or mesh_config_among(configs) or MeshConfig(),
        change,
        new_settings or settings or mesh_config_among(store.configs()) or MeshConfig(),
        store.diagnostics(),
    )


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """One version: its valid documents, its settings if it has any, the refused documents and all
    diagnostics."""

    configs: tuple[Config[Any], ...]
    settings: MeshConfig | None
    refused: tuple[ConfigKey, ...]
    diagnostics: tuple[Diagnostic, ...]


def read_version(files: Files) -> ConfigVersion:
    """Return the content of one version. Raises nothing for users' errors."""
    store = ConfigStore(once=True)
    store.apply({**_parsed(files.contents, once=True), **files.problems})
    configs = store.configs()
    return ConfigVersion(configs, mesh_config_among(configs), tuple(store.refused()), store.diagnostics())


def _parsed(
    contents: Mapping[str, tuple[str, bytes]],
    before: Mapping[str, ParsedFile] | None = None,
    *,
    once: bool = False,
) -> dict[str, ParsedFile]:
    """Return what files say; what is the same in files of that name `before` is not read again."""
    known = before or {}
    return {
        name: parse_documents(content, name, known=known[name].pieces if name in known else None, once=once)
        for name, (_, content) in contents.items()
    }
