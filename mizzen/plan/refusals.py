"""Finds clients that, after a change, speak what workloads refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mizzen.config.diagnostics import Diagnostic
from mizzen.mesh.analysis import Fault, refused_tls
from mizzen.mesh.snapshot import Mesh


def new_refusals(
    old: Mesh,
    new: Mesh,
    new_file: Callable[[str], str] = str,
    note: Callable[[Fault], None] | None = None,
) -> Iterator[str]:
    """Yield where clients speak what workloads refuse in the new mesh, but did not in the old one.

    `new_file` turns the internal name of a new file into the user's name for it. `note` is called for checks
    that raise; without it, the exception is raised.
    """
    known = {_meaning(each) for each in refused_tls(old, note)}
    for diagnostic in refused_tls(new, note):
        if _meaning(diagnostic) not in known:
            message = diagnostic.message
            for mention in diagnostic.mentions:
                message = message.replace(str(mention), new_file(str(mention)))
            yield f"{new_file(str(diagnostic.origin))}: {diagnostic.path}: {message}"


def _meaning(diagnostic: Diagnostic) -> tuple[object, ...]:
    """Return what a diagnostic says, without its lines."""
    message = diagnostic.message
    for mention in diagnostic.mentions:
        message = message.replace(str(mention), str(mention.document))
    return diagnostic.code, diagnostic.origin.document, diagnostic.path, message
