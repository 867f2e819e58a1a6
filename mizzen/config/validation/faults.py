"""Faults to inject."""

from __future__ import annotations

from typing import Final

from mizzen.config.models import FaultAbort, HTTPFaultInjection
from mizzen.config.validation.durations import check_duration
from mizzen.config.validation.http_answers import status_problem
from mizzen.config.validation.percentages import check_percent, check_percentage
from mizzen.config.validation.place import Place

GRPC_STATUSES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""The names of gRPC's statuses, in the order of their numbers."""


def check_fault(fault: HTTPFaultInjection, place: Place) -> None:
    """Check faults."""
    if fault.abort is None and fault.delay is None:
        place.error("the fault is empty; write delay or abort")
    if fault.abort is not None:
        _check_abort(fault.abort, place / "abort")
    if fault.delay is not None:
        here = place / "delay"
        check_percent(fault.delay.percent, here / "percent")
        check_percentage(fault.delay.percentage, here / "percentage")
        check_duration(fault.delay.fixed_delay, here / "fixedDelay")
        if fault.delay.exponential_delay is not None:
            (here / "exponentialDelay").error("exponentialDelay is not possible; write fixedDelay")


def _check_abort(abort: FaultAbort, place: Place) -> None:
    check_percentage(abort.percentage, place / "percentage")
    if abort.grpc_status is not None:
        if abort.grpc_status not in GRPC_STATUSES:
            (place / "grpcStatus").error(
                f'"{abort.grpc_status}" is not a status of gRPC; write one of {", ".join(GRPC_STATUSES)}'
            )
    elif abort.http2_error is not None:
        (place / "http2Error").error("http2Error is not possible; write httpStatus or grpcStatus")
    elif abort.http_status is not None:
        (place / "httpStatus").check(status_problem(abort.http_status))
    else:
        place.warning("the abort has no status and does nothing; write httpStatus or grpcStatus")
