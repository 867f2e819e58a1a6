"""The answer for a name that an Envoy asks for and that does not exist."""

from __future__ import annotations

from mizzen.translator.endpoints.assignments import empty_load_assignment
from mizzen.translator.routes.encoding import empty_route_configuration
from mizzen.xds import Resource, type_urls


def fallback(type_url: str, name: str) -> Resource | None:
    """Return an empty load assignment or route configuration with this name; None for any other type.

    In Envoy a cluster waits for its endpoints, and a listener for its routes. With an empty answer they
    become warm, and calls fail at once with a clear status instead of hanging
    (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#resource-warming).
    """
    if type_url == type_urls.ENDPOINT:
        return empty_load_assignment(name)
    if type_url == type_urls.ROUTE:
        return empty_route_configuration(name)
    return None
