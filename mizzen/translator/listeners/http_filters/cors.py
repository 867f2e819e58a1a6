"""Cross-origin resource sharing: the filter. Its policies are in the routes (routes/cors.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.translator.base.typed_config import typed
from mizzen.translator.listeners.http_filters.context import HttpFilterContext


def cors(_: HttpFilterContext) -> Iterator[Any]:
    """Yield the filter, for all connection managers."""
    yield typed(hcm.HttpFilter, "envoy.filters.http.cors", cors_pb2.Cors())
