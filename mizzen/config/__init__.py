"""Typed models of Istio's and Kubernetes' kinds, their parsing, validation and diagnostics.

How a file is read: `parse_documents` returns raw documents with their lines; `to_config` types and checks
one; a `ConfigStore` decides which configurations are in force while files change. All of it is pure.
"""

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import Config, ConfigKey, Document, FieldPath, Lines
from mizzen.config.kinds import KINDS, Kind
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.mesh_config_text import mesh_config_of, parse_mesh_config
from mizzen.config.proxy_config import ProxyConfig
from mizzen.config.store import ConfigChange, ConfigStore, Refusal
from mizzen.config.typed_documents import to_config
from mizzen.config.yaml_documents import ParsedFile, RefusedDocument, parse_documents

__all__ = [
    "KINDS",
    "Config",
    "ConfigChange",
    "ConfigKey",
    "ConfigStore",
    "Diagnostic",
    "Document",
    "FieldPath",
    "Kind",
    "Lines",
    "MeshConfig",
    "Origin",
    "ParsedFile",
    "ProxyConfig",
    "Refusal",
    "RefusedDocument",
    "Severity",
    "mesh_config_of",
    "parse_documents",
    "parse_mesh_config",
    "to_config",
]
