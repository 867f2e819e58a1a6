"""The lines of YAML from which a resource comes, also for resources without origins."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mizzen import xds
from mizzen.config import Origin

CurrentOrigin = Callable[[Origin], Origin]
"""Returns the current line of an origin: a resource has the lines of the time when it was made."""

_ASKING = (xds.type_urls.LISTENER, xds.type_urls.CLUSTER)


def origins_of(resource: xds.Resource, snapshot: xds.Snapshot | None) -> tuple[Origin, ...]:
    """Return the origins of a resource; for a certificate in files, those of the resources that name it.

    Such a certificate is made from its name alone, and is the same for all resources that name it.
    """
    if resource.origins or snapshot is None or resource.type_url != xds.type_urls.SECRET:
        return tuple(origin for origin in resource.origins if isinstance(origin, Origin))
    name = resource.name.encode()
    found = {
        origin
        for type_url in _ASKING
        for each in snapshot.collection(type_url).values()
        if name in each.value
        for origin in each.origins
        if isinstance(origin, Origin)
    }
    return tuple(sorted(found))


def told_origins(origins: Iterable[object], current_origin: CurrentOrigin) -> list[str]:
    """Return the current places of origins as `file:line`, without duplicates, sorted by file and line."""
    now = {current_origin(origin) for origin in origins if isinstance(origin, Origin)}
    return [str(origin) for origin in sorted(now)]


def unmoved(origin: Origin) -> Origin:
    """Return the origin: a CurrentOrigin for files that do not change."""
    return origin
