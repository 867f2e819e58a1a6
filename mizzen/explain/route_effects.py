"""What a route adds to a request and changes in it, as short sentences."""

from __future__ import annotations

from collections.abc import Iterator

from mizzen.simulate import Outcome, Verdict
from mizzen.simulate.verdict import Fault, HeaderChange, Mirror, Retries, RouteStep

_OPERATIONS = {
    "append_if_exists_or_add": "added",
    "add_if_absent": "set if absent",
    "overwrite_if_exists_or_add": "set",
    "overwrite_if_exists": "replaced if present",
}


def route_details(verdict: Verdict, route: RouteStep) -> tuple[str, ...]:
    """Return what the chosen route does, one sentence for each effect."""
    return tuple(_details(verdict, route))


def header_change(change: HeaderChange) -> str:
    """Return what happens to a header: `x-version set to 2`."""
    if change.operation == "remove":
        return f"{change.name} removed"
    return f"{change.name} {_OPERATIONS.get(change.operation, change.operation)}: {change.value}"


def fault_words(fault: Fault) -> Iterator[str]:
    """Yield what a fault does: `10 % are delayed by 5s`."""
    if fault.delay:
        yield f"{fault.delay_percent:g} % are delayed by {_seconds(fault.delay)}"
    if fault.abort_percent:
        yield f"{fault.abort_percent:g} % are answered with {fault.abort_status}"


def mirror_words(mirror: Mirror, cluster: str) -> str:
    """Return how much is mirrored to a cluster: `100 % mirrored to audit.default:80`."""
    return f"{mirror.percent:g} % mirrored to {cluster}"


def retry_words(retries: Retries) -> str:
    """Return how often and when the proxy retries: `up to 2 retries on 5xx, each within 1s`."""
    each = f", each within {_seconds(retries.per_try_timeout)}" if retries.per_try_timeout is not None else ""
    return f"up to {retries.number} retries on {retry_conditions(retries)}{each}"


def retry_conditions(retries: Retries) -> str:
    """Return after what the proxy retries: `5xx,retriable-status-codes and status 503`."""
    codes = f" and status {', '.join(map(str, retries.status_codes))}" if retries.status_codes else ""
    return f"{retries.retry_on}{codes}"


def _details(verdict: Verdict, route: RouteStep) -> Iterator[str]:
    for chance in verdict.chances:
        yield f"unless {chance.route} takes it, by {chance.condition}"
    call, upstream = verdict.call, verdict.upstream
    if upstream is not None and upstream.path != call.path:
        yield f"path rewritten to {upstream.path}"
    if upstream is not None and upstream.authority != call.authority:
        yield f"host rewritten to {upstream.authority}"
    if route.action == "route" and verdict.outcome is not Outcome.ANSWERED:
        yield f"timeout {_seconds(route.timeout)}" if route.timeout is not None else "no timeout"
        if route.idle_timeout is not None:
            yield f"idle timeout {_seconds(route.idle_timeout)}"
    if route.retries is not None and route.retries.number:
        yield retry_words(route.retries)
    if route.fault is not None:
        yield from (f"fault: {each}" for each in fault_words(route.fault))
    for mirror in route.mirrors:
        yield mirror_words(mirror, mirror.cluster)
    for change in route.request_headers:
        yield f"request header {header_change(change)}"
    for change in route.response_headers:
        yield f"response header {header_change(change)}"


def _seconds(value: float) -> str:
    return f"{value:g}s"
