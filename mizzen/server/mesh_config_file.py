"""The file of `--mesh-config`: read at the start, and again whenever it is saved."""

from __future__ import annotations

from pathlib import Path

from mizzen.config import Diagnostic, MeshConfig
from mizzen.sources.loading import read_mesh_config


class MeshConfigFile:
    """Has the last valid content of the file. If the file becomes invalid or vanishes, that is a
    diagnostic. A file without a single byte is invalid: a command that writes into it has not begun to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mesh_config = MeshConfig()
        self.diagnostics: tuple[Diagnostic, ...] = ()

    def read(self) -> MeshConfig:
        """Read the file and return the settings in force: the previous ones if the file is invalid now."""
        read, self.diagnostics = read_mesh_config(self.path, may_be_empty=False)
        if read is not None and read != self.mesh_config:
            self.mesh_config = read
        return self.mesh_config
