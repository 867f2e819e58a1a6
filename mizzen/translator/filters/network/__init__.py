"""The network filters of TCP chains. Each has a module that decides if a chain needs it, and configures it.

A module declares its filter with its position in Istio's order; the TCP proxy ends the chain. To add a
filter, add a module.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

from mizzen.translator.filters.declared import in_order
from mizzen.translator.filters.network_filter import NetworkFilter, NetworkFilterContext

NETWORK_FILTERS: Final = in_order(NetworkFilter, __name__, __path__)
"""All network filters that stand before the TCP proxy, in the order in which Envoy runs them."""


def network_filters(context: NetworkFilterContext) -> list[Any]:
    """Return the network filters that stand before the TCP proxy, in order."""
    return list(chain.from_iterable(each.configure(context) for each in NETWORK_FILTERS))
