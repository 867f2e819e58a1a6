"""gRPC-Web, which browsers use over HTTP/1.1: the filter for ports with this protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.grpc_web.v3 import grpc_web_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.mesh.service import Protocol
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext, HttpStep

NAME: Final = "envoy.filters.http.grpc_web"


def grpc_web(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filter if the port's protocol is gRPC-Web."""
    if context.protocol is Protocol.GRPC_WEB:
        yield typed(hcm.HttpFilter, NAME, grpc_web_pb2.GrpcWeb())


FILTER: Final = HttpFilter(NAME, HttpStep.GRPC_WEB, grpc_web)
