"""The proxy that a command asks about, found in files, and the mesh of these files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mizzen.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mizzen.cli.contained_answer import FilesAnswer
    from mizzen.mesh.proxy.node import Proxy
    from mizzen.mesh.snapshot import Mesh


def files_answer(
    paths: Sequence[Path], mesh_config: Path | None, *, certificates_served: bool
) -> FilesAnswer:
    """Return what answers from the valid documents in files; diagnostics go to standard error."""
    from mizzen.cli.contained_answer import FilesAnswer, tell
    from mizzen.cli.loading import load
    from mizzen.config.diagnostics import Severity

    loaded = load(paths, mesh_config)
    for diagnostic in loaded.diagnostics:
        if diagnostic.severity is not Severity.INFO:
            tell(diagnostic)
    return FilesAnswer(loaded, certificates_served=certificates_served)


def declared_proxy(mesh: Mesh, name: str, node: Path | None) -> Proxy:
    """Return the proxy of the node file, or the proxy that the documents imply for a name: the sidecar of a
    workload, else a gateway. Raises Failure if there is none."""
    from mizzen.cli.loading import load_node
    from mizzen.explain.callers import DeclaredCallers, UnknownCallerError

    if node is not None:
        return load_node(node)
    callers = DeclaredCallers(mesh)
    try:
        return callers.sidecar(name)
    except UnknownCallerError as error:
        try:
            return callers.gateway(name)
        except UnknownCallerError:
            raise Failure(f"PROXY: {error}", exit_code=2) from error
