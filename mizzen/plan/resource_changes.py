"""What changes between two versions of one resource. It is decoded only if its bytes differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mizzen.plan.change import Change, Sign
from mizzen.plan.clusters import assignment_changes, cluster_changes
from mizzen.plan.listeners import listener_changes
from mizzen.plan.places import of_secret
from mizzen.plan.routes import route_configuration_changes
from mizzen.translator.translate_result import MESSAGES, TYPE_URLS
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource

_MESSAGES = {TYPE_URLS[kind]: message for kind, message in MESSAGES.items()}


def decoded(resource: Resource | None) -> Any | None:
    """Return the message of a resource, or None without a resource."""
    return _MESSAGES[resource.type_url].FromString(resource.value) if resource is not None else None


def resource_changes(old: Resource | None, new: Resource | None) -> tuple[Change, ...]:
    """Return the changes from one version of a resource to another; None stands for no resource.

    There is always at least one if the bytes differ.
    """
    found = tuple(dict.fromkeys(_changes(old, new)))
    if found:
        return found
    resource = new or old
    assert resource is not None
    kind = resource.type_url.rpartition(".")[2]
    return (Change(Sign.CHANGED, kind, resource.name, "has different bytes with the same meaning"),)


def _changes(old: Resource | None, new: Resource | None) -> Iterator[Change]:
    resource = new or old
    assert resource is not None
    if resource.type_url == type_urls.SECRET:
        # Secrets are never decoded, so that no plan can show a key.
        yield _secret(old, new)
        return
    was, now = decoded(old), decoded(new)
    if resource.type_url == type_urls.ROUTE:
        yield from route_configuration_changes(was, now)
    elif resource.type_url == type_urls.LISTENER:
        yield from listener_changes(was, now)
    elif resource.type_url == type_urls.CLUSTER:
        yield from cluster_changes(was, now)
    else:
        yield from assignment_changes(resource.name, was, now)


def _secret(old: Resource | None, new: Resource | None) -> Change:
    resource = new or old
    assert resource is not None
    name, place = resource.name, of_secret(resource.name)
    if old is None:
        return Change(Sign.ADDED, "secret", name, place=place)
    if new is None:
        return Change(Sign.REMOVED, "secret", name, place=place)
    return Change(Sign.CHANGED, "secret", name, "has another content", place=place)
