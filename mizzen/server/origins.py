"""The lines of YAML from which a resource comes, also for resources without origins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from mizzen import xds
from mizzen.config import Origin
from mizzen.translator.tls.secret_references import secret_names

CurrentOrigin = Callable[[Origin], Origin]
"""Returns the current line of an origin: a resource has the lines of the time when it was made."""

NAMING_SECRETS: Final = (xds.type_urls.LISTENER, xds.type_urls.CLUSTER)
"""Types whose resources name secrets."""


def origins_of(resource: xds.Resource, snapshot: xds.Snapshot | None) -> tuple[Origin, ...]:
    """Return the origins of a resource; for a certificate in files, those of the resources that name it.

    Such a certificate is made from its name alone, and is the same for all resources that name it.
    """
    if resource.origins or snapshot is None or resource.type_url != xds.type_urls.SECRET:
        return tuple(origin for origin in resource.origins if isinstance(origin, Origin))
    found = {
        origin
        for type_url in NAMING_SECRETS
        for each in resources_naming(resource.name, snapshot.collection(type_url))
        for origin in each.origins
        if isinstance(origin, Origin)
    }
    return tuple(sorted(found))


def resources_naming(secret: str, collection: xds.Collection) -> Iterator[xds.Resource]:
    """Yield the listeners or clusters that name a secret."""
    name = secret.encode()
    for each in collection.values():
        if name in each.value and secret in secret_names(each):
            yield each


def told_origins(origins: Iterable[object], current_origin: CurrentOrigin) -> list[str]:
    """Return the current places of origins as `file:line`, without duplicates, sorted by file and line."""
    now = {current_origin(origin) for origin in origins if isinstance(origin, Origin)}
    return list(dict.fromkeys(map(str, sorted(now))))


def unmoved(origin: Origin) -> Origin:
    """Return the origin: a CurrentOrigin for files that do not change."""
    return origin
