"""Retries of requests."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from mizzen.config.models import HTTPRetry
from mizzen.config.models.base import camel_case
from mizzen.config.schema_fields import nearest
from mizzen.config.validation.durations import check_duration
from mizzen.config.validation.place import Place

_CONDITIONS: Final = (
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
)
_STATUSES: Final = frozenset(str(status.value) for status in HTTPStatus)


def check_retries(retries: HTTPRetry, place: Place) -> None:
    """Check a retry policy. Its conditions are those of Envoy's x-envoy-retry-on and
    x-envoy-retry-grpc-on."""
    if retries.attempts < 0:
        (place / "attempts").error(f"{retries.attempts} is negative; write 0 or more")
    if retries.attempts == 0 and not place.lost("attempts"):
        for field in ("per_try_timeout", "retry_on", "retry_remote_localities"):
            if getattr(retries, field) not in (None, ""):
                (place / camel_case(field)).error(
                    "attempts is 0, so nothing is tried again; write attempts, or leave this out"
                )
    check_duration(retries.per_try_timeout, place / "perTryTimeout")
    check_duration(retries.backoff, place / "backoff")
    for condition in retries.retry_on.split(",") if retries.retry_on else ():
        if condition in _CONDITIONS or condition in _STATUSES:
            continue
        if condition.strip() in _CONDITIONS or condition.strip() in _STATUSES:
            (place / "retryOn").error(f'"{condition}" has blanks around it; write commas without blanks')
        else:
            meant = nearest(condition, _CONDITIONS)
            right = (
                f"did you mean {meant}?" if meant else f"write a status, or one of {', '.join(_CONDITIONS)}"
            )
            (place / "retryOn").error(f'"{condition}" is not a condition; {right}')
