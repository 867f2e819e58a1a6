"""Visibility: the namespaces that a configuration is exported to."""

from __future__ import annotations

from collections.abc import Sequence

from mizzen.config.validation.hosts import is_dns_label
from mizzen.config.validation.place import Place


def check_export_to(export_to: Sequence[str], place: Place, *, nobody_allowed: bool = False) -> None:
    """Check `exportTo` at `place`: namespaces, `.`, `*`; and `~` (no namespace) if `nobody_allowed`."""
    # MeshConfig is in no namespace: there "." means the namespace of the service or rule that has the
    # default.
    own = place.config.namespace or "."
    seen: dict[str, str] = {}
    for index, entry in enumerate(export_to):
        here = place / index
        namespace = own if entry == "." else entry
        if namespace in seen:
            also = f' (as "{seen[namespace]}")' if seen[namespace] != entry else ""
            here.error(f'"{entry}" is given twice{also}; keep one of them')
        elif entry == "~" and not nobody_allowed:
            here.error('"~" is for services only; write a namespace, "." for this one or "*" for all')
        elif namespace not in (".", "*", "~") and not is_dns_label(namespace):
            here.error(f'"{entry}" is not a namespace; write one, "." for this one or "*" for all')
        seen.setdefault(namespace, entry)
    for alone, meaning in (("*", "everybody"), ("~", "nobody")):
        if alone in seen and len(export_to) > 1:
            place.error(
                f'"{alone}" exports to {meaning}, but others are given too; keep "{alone}" or the others'
            )
