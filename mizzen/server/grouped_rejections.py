"""Rejections with the same words by several proxies, as one group. Works on the status as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class GroupedRejections:
    """Rejections of one type with the same words: the proxies, and each resource once, with its lines from
    all of them."""

    type: str
    message: str
    proxies: list[str] = field(default_factory=list)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def who(self) -> str:
        """The names of the proxies, at most the first ten."""
        names = list(dict.fromkeys(self.proxies))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more


def grouped_rejections(rejections: Iterable[Mapping[str, Any]]) -> list[GroupedRejections]:
    """Group the rejections of the status, in its order."""
    found: dict[tuple[str, str], GroupedRejections] = {}
    for each in rejections:
        key = (each["type"], each["message"])
        alike = found.setdefault(key, GroupedRejections(*key))
        alike.proxies.append(each["proxy"])
        for resource in each["resources"]:
            known = alike.resources.setdefault(resource["name"], {**resource, "origins": []})
            known["origins"] += [line for line in resource["origins"] if line not in known["origins"]]
    return list(found.values())
