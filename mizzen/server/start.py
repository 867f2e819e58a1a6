"""Decides after a start when proxies are served.

If an Envoy comes back to a control plane that knows less than the last one, it is told to remove the rest. So
proxies are not served before the configuration is complete: until then Envoys keep what they have. istiod has
the same effect: it ends when it cannot read its configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mizzen.server.configuration import ConfigurationView
from mizzen.server.options import ServeOptions

_NAMED: Final = 10

SHOWN = 20
"""Most reasons that are shown; a wrong folder may have thousands."""


def waits_for(view: ConfigurationView, paths: Iterable[Path]) -> tuple[str, ...]:
    """Return the reasons why proxies are not served after a start, a line for each; empty if there are
    none."""
    found = [str(each) for each in view.start_blockers]
    if not found and not any(view.documents.values()):
        found.append(
            f"{', '.join(map(str, paths))}: no document is there; write some, or start with --start-anyway"
        )
    if len(found) > SHOWN:
        return (*found[:SHOWN], f"and {len(found) - SHOWN} more")
    return tuple(found)


def say_what_is_in_force(view: ConfigurationView, options: ServeOptions, log: Any) -> None:
    """Log what a start has read, and which versions it took from the state directory instead."""
    restored = sorted(view.restored.items())
    if restored:
        named = [
            f"{key} of {datetime.fromtimestamp(one.since, UTC):%Y-%m-%d %H:%M:%S} UTC ({one.document.origin})"
            for key, one in restored[:_NAMED]
        ]
        more = [f"and {len(restored) - _NAMED} more"] if len(restored) > _NAMED else []
        log.error(
            "in force are versions from the state directory, since the files' are refused or cannot be read",
            documents=[*named, *more],
        )
    count, paths = sum(view.documents.values()), [str(path) for path in options.paths]
    if count:
        log.info("configuration read", documents=count, paths=paths)
    elif options.start_anyway:
        log.warning("no configuration is in force: an empty mesh is served until there is some", paths=paths)
