"""Where configuration comes from: files and folders, read once or watched."""

from mizzen.sources.files import Batch, FileSource
from mizzen.sources.loading import LoadedConfigs, load_configs, mesh_config_among, read_mesh_config
from mizzen.sources.watching import watch_files

__all__ = [
    "Batch",
    "FileSource",
    "LoadedConfigs",
    "load_configs",
    "mesh_config_among",
    "read_mesh_config",
    "watch_files",
]
