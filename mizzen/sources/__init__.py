"""The sources of configuration: files and folders, read once or watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mizzen.sources.files import Batch, FileSource
from mizzen.sources.loading import LoadedConfigs, load_configs, mesh_config_among, read_mesh_config

if TYPE_CHECKING:
    from mizzen.sources.watching import watch_files as watch_files

__all__ = [
    "Batch",
    "FileSource",
    "LoadedConfigs",
    "load_configs",
    "mesh_config_among",
    "read_mesh_config",
    "watch_files",
]


def __getattr__(name: str) -> Any:
    # Imported late: reading files once needs neither asyncio nor a log, which take a tenth of a second to
    # load.
    if name == "watch_files":
        from mizzen.sources.watching import watch_files

        globals()[name] = watch_files
        return watch_files
    raise AttributeError(f"module 'mizzen.sources' has no attribute {name!r}")
