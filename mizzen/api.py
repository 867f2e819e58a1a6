"""Mizzen as a library: from files to Envoy's messages, offline (docs/python-api.md)."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike

from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.sources.loading import load_configs
from mizzen.translator.translate_result import Resources
from mizzen.translator.translation import Translation

__all__ = ["ConfigError", "Resources", "load", "translate"]


class ConfigError(Exception):
    """The configuration has errors: the text lists them; `diagnostics` holds all diagnostics, warnings
    too."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        errors = [diagnostic for diagnostic in self.diagnostics if diagnostic.severity is Severity.ERROR]
        super().__init__("\n".join(str(diagnostic) for diagnostic in errors))


def load(
    *paths: str | PathLike[str],
    mesh_config: str | PathLike[str] | None = None,
    strict: bool = True,
    certificates_served: bool = True,
) -> Mesh:
    """Read files and folders of Istio and Kubernetes YAML and return the mesh that they make.

    `mesh_config` is a file with Istio's MeshConfig. `certificates_served`: workloads have certificates, so
    that mutual TLS is automatic, as for a control plane with `--state` or `--ca`. Raises ConfigError, which
    lists every problem with its file and line, if a document is invalid or a path cannot be read; with
    `strict=False` what is valid makes the mesh and the rest is left out, as the running control plane does.
    """
    loaded = load_configs(paths, mesh_config=mesh_config)
    if strict and any(diagnostic.severity is Severity.ERROR for diagnostic in loaded.diagnostics):
        raise ConfigError(loaded.diagnostics)
    return loaded.mesh(certificates_served=certificates_served)


def translate(mesh: Mesh, proxy: Proxy) -> Resources:
    """Return everything that `proxy` would be sent: the same for the same mesh and proxy, every time."""
    made = Translation(mesh).resources(proxy)
    return Resources.decoded(made, made.diagnostics)
