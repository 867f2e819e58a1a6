"""What is answered for a name that an Envoy asks for and that nobody made."""

from __future__ import annotations

from mizzen.translator.endpoints.assignments import empty_load_assignment
from mizzen.translator.routes.encoding import empty_route_configuration
from mizzen.xds import Resource, type_urls


def missing(type_url: str, name: str) -> Resource | None:
    """Return an empty load assignment or route configuration of that name, None for any other type.

    Envoy waits with a cluster for its endpoints and with a listener for its routes; an empty answer lets them
    become warm, and calls fail at once with a clear status instead of not at all
    (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#resource-warming).
    """
    if type_url == type_urls.ENDPOINT:
        return empty_load_assignment(name)
    if type_url == type_urls.ROUTE:
        return empty_route_configuration(name)
    return None
