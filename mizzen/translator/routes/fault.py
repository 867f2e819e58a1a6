"""Fault injection: HTTPFaultInjection as Envoy's HTTPFault, for each route.

Source: https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPFaultInjection
"""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.type.v3 import percent_pb2

from mizzen.config.models.virtual_service import FaultAbort, FaultDelay, HTTPFaultInjection, Percent
from mizzen.config.validation.faults import GRPC_STATUSES
from mizzen.translator.base.config_sources import duration

FAULT_FILTER: Final = "envoy.filters.http.fault"

GRPC_STATUS: Final = {name: code for code, name in enumerate(GRPC_STATUSES)}
"""The numbers of gRPC's status codes."""


def fraction(percentage: Percent) -> Any:
    """Return a percentage, which may have decimals, as Envoy's FractionalPercent in millionths."""
    # Istio cuts off decimals below a millionth. Rounding first keeps 0.07 * 10000 from becoming 699.
    return percent_pb2.FractionalPercent(
        numerator=int(round(percentage.value * 10_000, 6)), denominator=percent_pb2.FractionalPercent.MILLION
    )


def whole_percent(percentage: int) -> Any:
    """Return a whole percentage as Envoy's FractionalPercent."""
    return percent_pb2.FractionalPercent(
        numerator=percentage, denominator=percent_pb2.FractionalPercent.HUNDRED
    )


def http_fault(fault: HTTPFaultInjection) -> Any | None:
    """Return the HTTPFault for a route, or None if `fault` contains nothing that Envoy can inject.

    As in Istio, an abort without a percentage never happens, and neither does a delay without one.
    """
    out = fault_pb2.HTTPFault()
    if fault.delay is not None:
        _apply_delay(out, fault.delay)
    if fault.abort is not None:
        _apply_abort(out, fault.abort)
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
