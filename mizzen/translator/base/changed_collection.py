"""A collection with some resources changed, the same object if none is another."""

from __future__ import annotations

from collections.abc import Iterable

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection


def changed_collection(
    collection: Collection, changed: Iterable[Resource], removed: Iterable[str]
) -> Collection:
    """Return `collection` with the changes, and the very same one if there were none.

    Equal bytes may come from other documents than before: then the resource is replaced, and nothing is sent.
    """
    latest = {resource.name: resource for resource in changed}
    news = []
    for name, resource in latest.items():
        old = collection.resources.get(name)
        if old is None or old.version != resource.version or old.origins != resource.origins:
            news.append(resource)
    # A name may go with one service and come with another: one hostname in two namespaces.
    gone = [name for name in removed if name in collection.resources and name not in latest]
    return collection.updated(news, gone) if news or gone else collection
