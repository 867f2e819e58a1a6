"""Changes that routes make to the headers of requests and responses."""

from __future__ import annotations

from typing import Any

from mizzen.simulate.verdict import HeaderChange


def request_changes(*owners: Any) -> tuple[HeaderChange, ...]:
    """Return what the owners (weighted cluster, route, virtual host, route configuration) do to requests, in
    the given order. Each owner first removes, then adds."""
    return tuple(
        change
        for owner in owners
        for change in _changes(owner.request_headers_to_remove, owner.request_headers_to_add)
    )


def response_changes(*owners: Any) -> tuple[HeaderChange, ...]:
    """Return what the owners do to responses, as `request_changes` for requests."""
    return tuple(
        change
        for owner in owners
        for change in _changes(owner.response_headers_to_remove, owner.response_headers_to_add)
    )


def _changes(removed: Any, added: Any) -> list[HeaderChange]:
    changes = [HeaderChange("remove", str(name)) for name in removed]
    for option in added:
        operation = option.HeaderAppendAction.Name(option.append_action).lower()
        if option.HasField("append") and not option.append.value:
            operation = "overwrite_if_exists_or_add"
        changes.append(HeaderChange(operation, str(option.header.key), str(option.header.value)))
    return changes
