"""The HTTP filters. Each has a module that decides if a connection manager needs it, and configures it.

`HTTP_FILTERS` has them in Istio's order (buildHTTPFilters in pilot/pkg/networking/core). To add a filter,
write a module and insert it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from mizzen.translator.listeners.http_filters.context import HttpFilterContext as HttpFilterContext
from mizzen.translator.listeners.http_filters.cors import cors
from mizzen.translator.listeners.http_filters.dynamic_forward_proxy import dynamic_forward_proxy
from mizzen.translator.listeners.http_filters.fault import fault
from mizzen.translator.listeners.http_filters.grpc_stats import grpc_stats
from mizzen.translator.listeners.http_filters.grpc_web import grpc_web
from mizzen.translator.listeners.http_filters.jwt_authn import jwt_authn
from mizzen.translator.listeners.http_filters.mesh_alpn import mesh_alpn
from mizzen.translator.listeners.http_filters.rbac import authorization, custom_authorization
from mizzen.translator.listeners.http_filters.router import router

HttpFilterSource = Callable[[HttpFilterContext], Iterator[Any]]

HTTP_FILTERS: Final[tuple[HttpFilterSource, ...]] = (
    custom_authorization,
    jwt_authn,
    authorization,
    grpc_web,
    grpc_stats,
    mesh_alpn,
    fault,
    cors,
    dynamic_forward_proxy,
    router,
)


def http_filters(context: HttpFilterContext) -> list[Any]:
    """Return the HTTP filters that a connection manager needs, in order, the router last."""
    return list(chain.from_iterable(source(context) for source in HTTP_FILTERS))
