"""Dynamic forward proxies for TLS: Envoy resolves the name in the SNI before it connects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2

from mizzen.translator.base.typed_config import typed
from mizzen.translator.clusters.dns_resolution import dns_cache_config
from mizzen.translator.filters.network_filter import NetworkFilter, NetworkFilterContext, NetworkStep

NAME: Final = "envoy.filters.network.sni_dynamic_forward_proxy"


def sni_dynamic_forward_proxy(context: NetworkFilterContext) -> Iterator[Any]:
    """Yield the filter if the chain's cluster connects to the name in the SNI."""
    if context.dns_cache is None:
        return
    name, port, family = context.dns_cache
    config = sni_dynamic_forward_proxy_pb2.FilterConfig(
        dns_cache_config=dns_cache_config(name, family), port_value=port
    )
    yield typed(listener_components_pb2.Filter, NAME, config)


FILTER: Final = NetworkFilter(NAME, NetworkStep.SNI_DYNAMIC_FORWARD_PROXY, sni_dynamic_forward_proxy)
