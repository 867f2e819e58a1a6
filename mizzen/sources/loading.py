"""Reads configuration once, for commands that do not watch it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mizzen.config import (
    Config,
    ConfigStore,
    Diagnostic,
    MeshConfig,
    Origin,
    Severity,
    mesh_config_of,
    parse_mesh_config,
)
from mizzen.config.codes import UNREADABLE
from mizzen.config.group_kinds import CONFIG_MAP
from mizzen.config.refused import NOTHING_REFUSED, Refused
from mizzen.config.yaml_documents import MAX_FILE_BYTES, empty_file, parse_documents
from mizzen.mesh.snapshot import Mesh
from mizzen.sources.files import FileSource


@dataclass(frozen=True, slots=True)
class LoadedConfigs:
    """The content of files: the valid configurations, the settings of the mesh, and all diagnostics.

    `documents` is the number of documents of kinds that a mesh reads, valid or not. `refused` is what is not
    there because those that are not valid are left out.
    """

    configs: tuple[Config[Any], ...]
    mesh_config: MeshConfig
    diagnostics: tuple[Diagnostic, ...]
    documents: int = 0
    refused: Refused = NOTHING_REFUSED

    def mesh(self, *, certificates_served: bool = True) -> Mesh:
        """Return the mesh of the valid documents. `certificates_served`: workloads have certificates, as with
        a server that has an authority (docs/decisions/0146)."""
        return Mesh.build(self.configs, self.mesh_config, certificates_served=certificates_served)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that keep a document out of force."""
        return tuple(each for each in self.diagnostics if each.severity is Severity.ERROR)


def load_configs(
    paths: Iterable[str | os.PathLike[str]],
    *,
    mesh_config: str | os.PathLike[str] | None = None,
    default_namespace: str = "default",
    max_bytes: int = MAX_FILE_BYTES,
    given: Mapping[str, bytes] | None = None,
) -> LoadedConfigs:
    """Read files and folders; return the valid documents and all diagnostics. Raises nothing for user errors.

    `mesh_config` is a file with the mesh's settings. Without it the settings are those of the ConfigMap
    `istio` among the documents (`mesh_config_among`), or else Istio's defaults. `given` is text that is in no
    file, by the name under which diagnostics show it.
    """
    options: Any = {"default_namespace": default_namespace, "max_bytes": max_bytes, "once": True}
    source = FileSource(paths, **options)
    store = ConfigStore(once=True)
    batch = dict(source.scan())
    for name, data in (given or {}).items():
        batch[name] = parse_documents(data, name, **options)
    store.apply(batch)
    documents = sum(len(each.documents) + len(each.refused) for each in batch.values() if each is not None)
    configs = store.configs()
    found: tuple[Diagnostic, ...] = ()
    if mesh_config is not None:
        settings, found = read_mesh_config(mesh_config)
    else:
        settings = mesh_config_among(configs)
    diagnostics = (*found, *store.diagnostics())
    refused = Refused.of(store.refused().values())
    return LoadedConfigs(configs, settings or MeshConfig(), diagnostics, documents, refused)


def read_mesh_config(
    path: str | os.PathLike[str], *, may_be_empty: bool = True
) -> tuple[MeshConfig | None, tuple[Diagnostic, ...]]:
    """Read a file with the mesh's settings; return them, or None, with the diagnostics. Raises nothing.

    A file without a single byte has all defaults, or if it may not be empty, an error.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"the mesh configuration cannot be read: {reason}; give a readable file"
        return None, (Diagnostic(Severity.ERROR, UNREADABLE, message, Origin(name)),)
    if len(data) > MAX_FILE_BYTES:
        message = f"the mesh configuration has more than {MAX_FILE_BYTES} bytes; give a smaller file"
        return None, (Diagnostic(Severity.ERROR, UNREADABLE, message, Origin(name)),)
    if not data and not may_be_empty:
        return None, empty_file(name).diagnostics
    return parse_mesh_config(data, name)


def mesh_config_among(configs: Iterable[Config[Any]]) -> MeshConfig | None:
    """Return the settings in the ConfigMap `istio`; None if there is none.

    If there are several, the one in `istio-system` counts, or else the first by namespace.
    """
    maps = [config for config in configs if config.group_kind == CONFIG_MAP]
    maps.sort(key=lambda config: (config.namespace != "istio-system", config.namespace))
    return mesh_config_of(maps[0])[0] if maps else None
