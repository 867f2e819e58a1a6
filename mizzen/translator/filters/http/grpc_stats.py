"""Statistics of gRPC: Envoy counts the messages of streams, for all methods together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.grpc_stats.v3 import config_pb2 as grpc_stats_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from google.protobuf import wrappers_pb2

from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext, HttpStep

NAME: Final = "envoy.filters.http.grpc_stats"


def grpc_stats(_: HttpFilterContext) -> Iterator[Any]:
    """Yield the filter, for all connection managers."""
    statistics = grpc_stats_pb2.FilterConfig(
        emit_filter_state=True, stats_for_all_methods=wrappers_pb2.BoolValue(value=False)
    )
    yield typed(hcm.HttpFilter, NAME, statistics)


FILTER: Final = HttpFilter(NAME, HttpStep.GRPC_STATS, grpc_stats)
