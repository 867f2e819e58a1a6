"""Circuit breakers: the limits of a connection pool as Envoy's thresholds.

https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings
"""

from __future__ import annotations

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2

from mizzen.config.models import ConnectionPoolSettings, RetryBudget

UNLIMITED = 2**32 - 1
"""Istio lifts Envoy's own limits (1024 connections, 3 retries) unless a rule sets others."""

_DEFAULT_BUDGET_PERCENT = 20.0
_DEFAULT_MIN_RETRY_CONCURRENCY = 3

_UNLIMITED_THRESHOLDS = circuit_breaker_pb2.CircuitBreakers(
    thresholds=[
        circuit_breaker_pb2.CircuitBreakers.Thresholds(
            max_connections={"value": UNLIMITED},
            max_pending_requests={"value": UNLIMITED},
            max_requests={"value": UNLIMITED},
            max_retries={"value": UNLIMITED},
        )
    ]
)


def apply_circuit_breakers(
    cluster: cluster_pb2.Cluster, pool: ConnectionPoolSettings | None, budget: RetryBudget | None = None
) -> None:
    """Set the thresholds of the default priority; zero and absent settings are unlimited.

    `http2MaxRequests` limits HTTP/1.1 as well, as its documentation says. In Envoy a retry budget replaces
    `maxRetries`; Envoy's API has no field for `budgetInterval`.
    """
    cluster.circuit_breakers.CopyFrom(_UNLIMITED_THRESHOLDS)
    if pool is None and budget is None:
        return
    thresholds = cluster.circuit_breakers.thresholds[0]
    if pool is not None and pool.tcp is not None and pool.tcp.max_connections > 0:
        thresholds.max_connections.value = pool.tcp.max_connections
    if pool is not None and pool.http is not None:
        if pool.http.http1_max_pending_requests > 0:
            thresholds.max_pending_requests.value = pool.http.http1_max_pending_requests
        if pool.http.http2_max_requests > 0:
            thresholds.max_requests.value = pool.http.http2_max_requests
        if pool.http.max_retries > 0:
            thresholds.max_retries.value = pool.http.max_retries
    if budget is not None:
        _set_retry_budget(thresholds, budget)


def _set_retry_budget(
    thresholds: circuit_breaker_pb2.CircuitBreakers.Thresholds, budget: RetryBudget
) -> None:
    percent = _DEFAULT_BUDGET_PERCENT if budget.percent is None else budget.percent
    thresholds.retry_budget.budget_percent.value = percent
    thresholds.retry_budget.min_retry_concurrency.value = (
        budget.min_retry_concurrency or _DEFAULT_MIN_RETRY_CONCURRENCY
    )
