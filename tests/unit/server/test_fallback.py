from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_pb2

from mizzen.server.fallback import fallback
from mizzen.xds import type_urls


def test_endpoints_and_routes_that_nobody_made_are_empty_and_nothing_else_is_made_up() -> None:
    endpoints = fallback(type_urls.ENDPOINT, "a")
    assert endpoints is not None
    assert (endpoints.type_url, endpoints.name) == (type_urls.ENDPOINT, "a")
    assert endpoint_pb2.ClusterLoadAssignment.FromString(endpoints.value) == (
        endpoint_pb2.ClusterLoadAssignment(cluster_name="a")
    )
    routes = fallback(type_urls.ROUTE, "80")
    assert routes is not None
    assert (routes.type_url, routes.name) == (type_urls.ROUTE, "80")
    configuration = route_pb2.RouteConfiguration.FromString(routes.value)
    assert (configuration.name, len(configuration.virtual_hosts)) == ("80", 0)
    for type_url in type_urls.PUSH_ORDER:
        if type_url not in (type_urls.ENDPOINT, type_urls.ROUTE):
            assert fallback(type_url, "a") is None
