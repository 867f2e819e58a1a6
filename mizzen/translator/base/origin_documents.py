"""Which documents something comes from. Origins are compared by file and line alone, and where one document
stood another may stand after a change; `Mesh.current_origin` would then follow the wrong one."""

from __future__ import annotations

from collections.abc import Iterable

from mizzen.config.diagnostics import Origin
from mizzen.config.document import ConfigKey


def origin_documents(origins: Iterable[object]) -> tuple[ConfigKey | None, ...]:
    """Return the key of the document that each origin names, None for one that names none."""
    return tuple(origin.document if isinstance(origin, Origin) else None for origin in origins)
