"""What many proxies reject in the same words, put together for people. Works on the status as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class AlikeRejections:
    """A rejection of one type in one wording: by which proxies, and each resource once, with the lines that
    it has for any of them."""

    type: str
    message: str
    proxies: list[str] = field(default_factory=list)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def who(self) -> str:
        """The proxies, of many the first ten."""
        names = list(dict.fromkeys(self.proxies))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more


def alike_rejections(rejections: Iterable[Mapping[str, Any]]) -> list[AlikeRejections]:
    """Put together the rejections of the status, in its order."""
    found: dict[tuple[str, str], AlikeRejections] = {}
    for each in rejections:
        key = (each["type"], each["message"])
        alike = found.setdefault(key, AlikeRejections(*key))
        alike.proxies.append(each["proxy"])
        for resource in each["resources"]:
            known = alike.resources.setdefault(resource["name"], {**resource, "origins": []})
            known["origins"] += [line for line in resource["origins"] if line not in known["origins"]]
    return list(found.values())
