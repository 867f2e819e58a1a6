"""Changing some resources of a collection; the object stays the same if nothing differs."""

from __future__ import annotations

from collections.abc import Iterable

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection


def changed_collection(
    collection: Collection, changed: Iterable[Resource], removed: Iterable[str]
) -> Collection:
    """Return `collection` with the changes; the same object if nothing differs.

    Equal bytes may come from different documents than before: then the resource is replaced for its origins,
    and nothing is sent.
    """
    latest = {resource.name: resource for resource in changed}
    if not collection.resources:
        return Collection(collection.type_url, latest) if latest else collection
    news = []
    for name, resource in latest.items():
        old = collection.resources.get(name)
        if old is None or old.version != resource.version or old.origins != resource.origins:
            news.append(resource)
    # One service may lose a name that a different one gains: one hostname in two namespaces.
    gone = [name for name in removed if name in collection.resources and name not in latest]
    return collection.updated(news, gone) if news or gone else collection
