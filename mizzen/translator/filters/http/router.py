"""The router: it ends every chain of HTTP filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext, HttpStep

NAME: Final = "envoy.filters.http.router"


def router(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filter, for all connection managers."""
    config = router_pb2.Router(suppress_envoy_headers=context.hide_debug_headers)
    yield typed(hcm.HttpFilter, NAME, config)


FILTER: Final = HttpFilter(NAME, HttpStep.ROUTER, router)
