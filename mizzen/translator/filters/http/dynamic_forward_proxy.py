"""Dynamic forward proxies: Envoy resolves a request's host before it forwards the request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.dynamic_forward_proxy.v3 import dynamic_forward_proxy_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.translator.base.typed_config import typed
from mizzen.translator.clusters.dns_resolution import dns_cache_config
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext, HttpStep

NAME: Final = "envoy.filters.http.dynamic_forward_proxy"
"""The filter's name starts so; the name of the cache follows."""


def dynamic_forward_proxy(context: HttpFilterContext) -> Iterator[Any]:
    """Yield a filter for each cache that the routes may choose."""
    for cache in context.dns_caches:
        config = dynamic_forward_proxy_pb2.FilterConfig(
            dns_cache_config=dns_cache_config(cache, context.ip_family)
        )
        yield typed(hcm.HttpFilter, f"{NAME}.{cache}", config)


FILTER: Final = HttpFilter(NAME, HttpStep.DYNAMIC_FORWARD_PROXY, dynamic_forward_proxy)
