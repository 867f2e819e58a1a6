"""Retries: HTTPRetry and the mesh's defaults as Envoy's RetryPolicy.

Source: Istio's pilot/pkg/networking/core/route/retry;
https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRetry
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2

from mizzen.config.models.virtual_service import HTTPRetry
from mizzen.translator.base.config_sources import duration
from mizzen.translator.base.typed_config import pack
from mizzen.translator.routes.encoding import encode

DEFAULT_ATTEMPTS: Final = 2
DEFAULT_RETRY_ON: Final = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
HOST_SELECTION_ATTEMPTS: Final = 5
"""How often another host is looked for when the chosen one has been tried already."""

_PREVIOUS_HOSTS: Final = "envoy.retry_host_predicates.previous_hosts"
_PREVIOUS_PRIORITIES: Final = "envoy.retry_priorities.previous_priorities"
_PREVIOUS_HOSTS_CONFIG: Final = pack(previous_hosts_pb2.PreviousHostsPredicate())
_PREVIOUS_PRIORITIES_CONFIG: Final = pack(
    previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=2)
)
_STATUS_CODES: Final = "retriable-status-codes"

# Istio uses the status codes of Go's net/http, which are those of the IANA registry, as here.
_KNOWN_STATUS: Final = frozenset(status.value for status in HTTPStatus)


def retry_policy(retries: HTTPRetry | None, *, consistent_hash: bool = False) -> Any | None:
    """Return Envoy's RetryPolicy for an outbound route, or None if `attempts` switches retries off.

    `retries` None means Istio's built-in defaults, which also hold for absent fields. With `consistent_hash`
    a retry may go to the same host again, because the hash chooses the host.
    """
    policy = route_components_pb2.RetryPolicy(
        retry_on=DEFAULT_RETRY_ON, host_selection_retry_max_attempts=HOST_SELECTION_ATTEMPTS
    )
    if not _retries(policy, retries):
        return None
    avoid_previous_hosts = not consistent_hash
    if retries is not None:
        if retries.per_try_timeout is not None:
            policy.per_try_timeout.CopyFrom(duration(retries.per_try_timeout))
        if retries.retry_ignore_previous_hosts is not None:
            avoid_previous_hosts = retries.retry_ignore_previous_hosts
        if retries.retry_remote_localities:
            policy.retry_priority.name = _PREVIOUS_PRIORITIES
            policy.retry_priority.typed_config.CopyFrom(_PREVIOUS_PRIORITIES_CONFIG)
    if avoid_previous_hosts:
        predicate = policy.retry_host_predicate.add(name=_PREVIOUS_HOSTS)
        predicate.typed_config.CopyFrom(_PREVIOUS_HOSTS_CONFIG)
    return policy


@lru_cache(maxsize=256)
def encoded_retries(retries: HTTPRetry | None, consistent_hash: bool) -> bytes:
    """Return the field of a RouteAction that has the `retry_policy`; empty without retries."""
    policy = retry_policy(retries, consistent_hash=consistent_hash)
    return encode(route_components_pb2.RouteAction(retry_policy=policy))


def inbound_retry_policy(retries: HTTPRetry | None, *, grpc: bool) -> Any | None:
    """Return the RetryPolicy for a sidecar's inbound route: by default, Envoy retries requests that were
    reset before it sent them. `retries` is MeshConfig.defaultInboundHttpRetryPolicy; without it, gRPC ports
    have no retries."""
    if retries is None and grpc:
        return None
    policy = route_components_pb2.RetryPolicy(retry_on="reset-before-request")
    return policy if _retries(policy, retries) else None


def _retries(policy: Any, retries: HTTPRetry | None) -> bool:
    """Set how often, when and after which time Envoy retries; return False if `attempts` switches it off."""
    policy.num_retries.value = DEFAULT_ATTEMPTS
    if retries is not None:
        if retries.attempts <= 0:
            return False
        policy.num_retries.value = retries.attempts
        if retries.retry_on:
            _apply_retry_on(policy, retries.retry_on)
        if retries.backoff is not None:
            policy.retry_back_off.base_interval.CopyFrom(duration(retries.backoff))
    return True


def _apply_retry_on(policy: Any, retry_on: str) -> None:
    """Split Istio's `retryOn`, which mixes Envoy's conditions with status codes."""
    conditions: list[str] = []
    codes: list[int] = []
    for part in (piece.strip() for piece in retry_on.split(",")):
        if part.isdecimal() and int(part) in _KNOWN_STATUS:
            codes.append(int(part))
        elif part:
            conditions.append(part)
    if codes and _STATUS_CODES not in conditions:
        conditions.append(_STATUS_CODES)
    policy.retry_on = ",".join(conditions)
    policy.retriable_status_codes[:] = codes
