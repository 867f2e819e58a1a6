"""Which lines of YAML a resource comes from, when it does not say so itself."""

from __future__ import annotations

from mizzen import xds
from mizzen.config import Origin

_ASKING = (xds.type_urls.LISTENER, xds.type_urls.CLUSTER)


def origins_of(resource: xds.Resource, snapshot: xds.Snapshot | None) -> tuple[Origin, ...]:
    """Return the origins of a resource; of a certificate in files, those of what names it.

    Such a certificate is made of its name alone, and is the same for all who name it.
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
