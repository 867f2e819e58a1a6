"""The HTTP filters. Each has a module that decides if a connection manager needs it, and configures it.

A module declares its filter with its position in Istio's order. To add a filter, add a module.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from mizzen.translator.filters.declared import in_order
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext

if TYPE_CHECKING:
    from mizzen.config.models.virtual_service import HTTPRoute

HTTP_FILTERS: Final = in_order(HttpFilter, __name__, __path__)
"""All HTTP filters, in the order in which Envoy runs them."""

_OF_ROUTES: Final = tuple(
    (each.name, each.configure_route) for each in HTTP_FILTERS if each.configure_route is not None
)


def http_filters(context: HttpFilterContext) -> list[Any]:
    """Return the HTTP filters that a connection manager needs, in order, the router last."""
    return list(chain.from_iterable(each.configure(context) for each in HTTP_FILTERS))


def route_settings(route: HTTPRoute) -> Iterator[tuple[str, Any]]:
    """Yield (name of the filter, its message) for each filter that has settings for a route."""
    for name, configure in _OF_ROUTES:
        settings = configure(route)
        if settings is not None:
            yield name, settings
