"""The input of a table: the resources that a proxy is sent, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mizzen.explain.missing_secrets import MissingSecret, MissingSecrets
from mizzen.explain.origins import PartOrigins, Places
from mizzen.translator.translate_result import MESSAGES, TYPE_URLS
from mizzen.xds.resource import Resource

Resources = Mapping[str, Mapping[str, Resource]]
"""Resources by type URL and name."""


class Sent:
    """The resources of one proxy.

    Args:
        resources: by type URL and name.
        origins: finds the lines of their parts, as long as the resources are current.
        states: what is wrong with a resource, by type URL and name.
        missing: finds the missing secrets for which the resources ask.
    """

    def __init__(
        self,
        resources: Resources,
        origins: PartOrigins | None = None,
        states: Mapping[tuple[str, str], str] | None = None,
        missing: MissingSecrets | None = None,
    ) -> None:
        self._resources = resources
        self._origins = origins
        self._states = states or {}
        self._missing = missing

    def of(self, kind: str) -> Iterator[tuple[Resource, Any, str]]:
        """Yield the resources of a kind, sorted by name, each with its message and its state."""
        type_url, message = TYPE_URLS[kind], MESSAGES[kind]
        held = self._resources.get(type_url, {})
        for name in sorted(held):
            yield held[name], message.FromString(held[name].value), self._states.get((type_url, name), "")

    def missing_secrets(self) -> Iterator[MissingSecret]:
        """Yield the missing secrets for which listeners and clusters ask."""
        if self._missing is None:
            return
        asking = [
            each
            for kind in ("listeners", "clusters")
            for each in self._resources.get(TYPE_URLS[kind], {}).values()
        ]
        yield from self._missing.of(asking)

    def message(self, kind: str, name: str) -> Any | None:
        """Return the message of a resource of a kind, None if there is none of this name."""
        found = self._resources.get(TYPE_URLS[kind], {}).get(name)
        return MESSAGES[kind].FromString(found.value) if found is not None else None

    def places(self, resource: Resource, find: Callable[[PartOrigins], Places]) -> tuple[str, ...]:
        """Return the places of a part of a resource.

        If the proxy has an older version of the resource, these are all places of that version.
        """
        origins = self._origins
        if origins is not None and origins.is_current(resource):
            return _texts(find(origins))
        return _texts(resource.origins)


def _texts(places: Iterable[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, places)))
