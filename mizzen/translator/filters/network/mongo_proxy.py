"""Statistics of MongoDB's protocol (on by default, as in Istio)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.mongo_proxy.v3 import mongo_proxy_pb2

from mizzen.mesh.service import Protocol
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.network_filter import NetworkFilter, NetworkFilterContext, NetworkStep

NAME: Final = "envoy.filters.network.mongo_proxy"


def mongo_proxy(context: NetworkFilterContext) -> Iterator[Any]:
    """Yield the filter if the port's protocol is MongoDB."""
    if context.protocol is Protocol.MONGO:
        mongo = mongo_proxy_pb2.MongoProxy(stat_prefix=context.stat_prefix)
        yield typed(listener_components_pb2.Filter, NAME, mongo)


FILTER: Final = NetworkFilter(NAME, NetworkStep.MONGO_PROXY, mongo_proxy)
