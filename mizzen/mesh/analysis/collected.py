"""Collects diagnostics, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import Config, ConfigKey, FieldPath
from mizzen.mesh.visibility import HIDDEN, PUBLIC

Found = tuple[Diagnostic, ...]

Item = TypeVar("Item")


def path_text(path: FieldPath) -> str:
    """Return a path as users write it: `spec.http[0].route[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class Diagnostics:
    """The diagnostics so far."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []

    def error(
        self,
        code: str,
        config: Config[Any],
        path: FieldPath,
        message: str,
        *mentions: Origin | None,
        missing: ConfigKey | str | None = None,
    ) -> None:
        """Add a diagnostic about something that breaks traffic; `missing` is the document or host that it
        lacks."""
        self._add(Severity.ERROR, code, config, path, message, mentions, missing)

    def warning(
        self,
        code: str,
        config: Config[Any],
        path: FieldPath,
        message: str,
        *mentions: Origin | None,
        missing: ConfigKey | str | None = None,
    ) -> None:
        """Add a diagnostic about a probable mistake; `missing` is the document or host that is lacking."""
        self._add(Severity.WARNING, code, config, path, message, mentions, missing)

    def notice(
        self, code: str, config: Config[Any], path: FieldPath, message: str, *mentions: Origin | None
    ) -> None:
        """Add a diagnostic for information only."""
        self._add(Severity.INFO, code, config, path, message, mentions)

    def _add(
        self,
        severity: Severity,
        code: str,
        config: Config[Any],
        path: FieldPath,
        message: str,
        mentions: Iterable[Origin | None],
        missing: ConfigKey | str | None = None,
    ) -> None:
        known = tuple(origin for origin in mentions if origin is not None)
        self.diagnostics.append(
            Diagnostic(severity, code, message, config.origin_of(*path), path_text(path), known, missing)
        )

    def at(self, current_origin: Callable[[Origin], Origin]) -> Found:
        """Return the diagnostics with current lines; `current_origin` gives the current place of an
        origin."""
        return tuple(one.current(current_origin) for one in self.diagnostics)


def seen_together(
    items: Iterable[Item], seen_by: Callable[[Item], frozenset[str]]
) -> Iterator[tuple[Item, Item]]:
    """Yield each item that some namespace sees with an earlier one, and the first such earlier one."""
    first: Item | None = None
    first_public: Item | None = None
    first_of: dict[str, Item] = {}
    for item in items:
        who = seen_by(item)
        if HIDDEN in who:
            continue
        if PUBLIC in who:
            earlier = first
        else:
            earlier = first_public
            for namespace in sorted(who):
                earlier = earlier if earlier is not None else first_of.get(namespace)
        if earlier is not None:
            yield item, earlier
        first = first if first is not None else item
        if PUBLIC in who and first_public is None:
            first_public = item
        for namespace in who:
            first_of.setdefault(namespace, item)
