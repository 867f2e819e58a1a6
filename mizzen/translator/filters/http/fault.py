"""Fault injection: the filter, and HTTPFaultInjection as Envoy's HTTPFault for each route.

Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPFaultInjection
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.config.models.virtual_service import FaultAbort, FaultDelay, HTTPRoute
from mizzen.config.validation.faults import GRPC_STATUSES
from mizzen.translator.base.config_sources import duration
from mizzen.translator.base.fractional_percent import fraction, whole_percent
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext, HttpStep

NAME: Final = "envoy.filters.http.fault"

GRPC_STATUS: Final = {name: code for code, name in enumerate(GRPC_STATUSES)}
"""The numbers of gRPC's status codes."""


def fault(_: HttpFilterContext) -> Iterator[Any]:
    """Yield the filter, for all connection managers."""
    yield typed(hcm.HttpFilter, NAME, fault_pb2.HTTPFault())


def route_fault(route: HTTPRoute) -> Any | None:
    """Return the HTTPFault for a route, or None if its `fault` contains nothing that Envoy can inject.

    As in Istio, an abort without a percentage never happens, and neither does a delay without one.
    """
    if route.fault is None:
        return None
    out = fault_pb2.HTTPFault()
    if route.fault.delay is not None:
        _apply_delay(out, route.fault.delay)
    if route.fault.abort is not None:
        _apply_abort(out, route.fault.abort)
    return out if out.HasField("delay") or out.HasField("abort") else None


def _apply_delay(out: Any, delay: FaultDelay) -> None:
    if delay.fixed_delay is None:
        return
    out.delay.fixed_delay.CopyFrom(duration(delay.fixed_delay))
    if delay.percentage is not None:
        out.delay.percentage.CopyFrom(fraction(delay.percentage))
    else:
        out.delay.percentage.CopyFrom(whole_percent(delay.percent))


def _apply_abort(out: Any, abort: FaultAbort) -> None:
    if abort.http_status is not None:
        out.abort.http_status = abort.http_status
    elif abort.grpc_status is not None:
        out.abort.grpc_status = GRPC_STATUS[abort.grpc_status]
    else:
        return
    if abort.percentage is not None:
        out.abort.percentage.CopyFrom(fraction(abort.percentage))


FILTER: Final = HttpFilter(NAME, HttpStep.FAULT, fault, configure_route=route_fault)
