"""One side of a comparison: what one proxy is sent before or after a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from mizzen.explain.origins import PartOrigins
from mizzen.plan.places import Place
from mizzen.xds.resource import Resource

_MOST_PLACES = 3


class Sent(Protocol):
    """The resources of one proxy."""

    def get(self, type_url: str, name: str) -> Resource | None:
        """Return a resource, None if there is none of this name."""

    def all(self, type_url: str) -> Mapping[str, Resource]:
        """Return all resources of a type by name."""


class Side:
    """What one proxy is sent.

    Args:
        sent: the resources.
        origins: returns the lines of their parts; None where only the places of whole resources are known.
        shown: turns the internal name of a file into the user's name for it.
        certified: whether the proxy gets a certificate of the mesh, which is not among the resources.
    """

    def __init__(
        self,
        sent: Sent,
        origins: Callable[[], PartOrigins] | None = None,
        shown: Callable[[str], str] = str,
        *,
        certified: bool = True,
    ) -> None:
        self.certified = certified
        self._sent = sent
        self._make = origins
        self._origins: PartOrigins | None = None
        self._shown = shown

    def get(self, type_url: str, name: str) -> Resource | None:
        """Return a resource, None if there is none of this name."""
        return self._sent.get(type_url, name)

    def resources(self, type_url: str) -> Mapping[str, Resource]:
        """Return all resources of a type by name."""
        return self._sent.all(type_url)

    def places(self, place: Place | None, resource: Resource | None) -> tuple[str, ...]:
        """Return the lines of a part as `file:line`; none for a part that does not exist."""
        if self._make is not None and place is not None:
            if self._origins is None:
                self._origins = self._make()
            found: tuple[object, ...] = place(self._origins)
        elif self._make is None and resource is not None and len(resource.origins) <= _MOST_PLACES:
            found = resource.origins  # many places would not help to find the part
        else:
            found = ()
        return tuple(dict.fromkeys(self._shown(str(each)) for each in found))
