"""The network filters of TCP chains. Each has a module that decides if a chain needs it, and configures it.

`NETWORK_FILTERS` has them in Istio's order; the TCP proxy ends the chain. To add a filter, write a module and
insert it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from mizzen.translator.listeners.network_filters.context import NetworkFilterContext as NetworkFilterContext
from mizzen.translator.listeners.network_filters.mongo_proxy import mongo_proxy
from mizzen.translator.listeners.network_filters.rbac import rbac
from mizzen.translator.listeners.network_filters.sni_dynamic_forward_proxy import sni_dynamic_forward_proxy

NetworkFilterSource = Callable[[NetworkFilterContext], Iterator[Any]]

NETWORK_FILTERS: Final[tuple[NetworkFilterSource, ...]] = (
    rbac,
    sni_dynamic_forward_proxy,
    mongo_proxy,
)


def network_filters(context: NetworkFilterContext) -> list[Any]:
    """Return the network filters that stand before the TCP proxy, in order."""
    return list(chain.from_iterable(source(context) for source in NETWORK_FILTERS))
