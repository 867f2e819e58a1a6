"""Outlier detection: Envoy ejects failing endpoints from a cluster for a while.

https://istio.io/latest/docs/reference/config/networking/destination-rule/#OutlierDetection
"""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import outlier_detection_pb2
from envoy.config.common.matcher.v3 import matcher_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import string_pb2

from mizzen.config.models import OutlierDetection
from mizzen.translator.base.config_sources import duration


def apply_outlier_detection(cluster: Any, settings: OutlierDetection | None) -> None:
    """Set the outlier detection of a cluster, and from how few healthy endpoints on Envoy panics."""
    panic = 0
    if settings is not None:
        cluster.outlier_detection.CopyFrom(_outlier_detection(settings))
        panic = settings.min_health_percent
    # Zero switches Envoy's panic mode off: it never calls endpoints that it knows to be unhealthy.
    cluster.common_lb_config.healthy_panic_threshold.value = panic


def _outlier_detection(settings: OutlierDetection) -> outlier_detection_pb2.OutlierDetection:
    """Return Envoy's outlier detection. Envoy's defaults hold for fields that the rule leaves out: ejection
    after 5 consecutive 5xx errors, checked every 10 s, for 30 s, of at most 10% of the endpoints."""
    message = outlier_detection_pb2.OutlierDetection()
    # Istio has no detection by success rate, which Envoy switches on by default.
    message.enforcing_success_rate.value = 0
    if settings.consecutive_5xx_errors is not None:
        message.consecutive_5xx.value = settings.consecutive_5xx_errors
        message.enforcing_consecutive_5xx.value = _enforced(settings.consecutive_5xx_errors)
    if settings.consecutive_gateway_errors is not None:
        message.consecutive_gateway_failure.value = settings.consecutive_gateway_errors
        message.enforcing_consecutive_gateway_failure.value = _enforced(settings.consecutive_gateway_errors)
    if settings.interval is not None:
        message.interval.CopyFrom(duration(settings.interval))
    if settings.base_ejection_time is not None:
        message.base_ejection_time.CopyFrom(duration(settings.base_ejection_time))
    if settings.max_ejection_percent > 0:
        message.max_ejection_percent.value = settings.max_ejection_percent
    if settings.split_external_local_origin_errors:
        message.split_external_local_origin_errors = True
        if settings.consecutive_local_origin_failures:
            message.consecutive_local_origin_failure.value = settings.consecutive_local_origin_failures
            message.enforcing_consecutive_local_origin_failure.value = 100
        message.enforcing_local_origin_success_rate.value = 0
    return message


def _enforced(errors: int) -> int:
    """Return how often Envoy enforces ejection, in percent: never for zero errors, which switch it off."""
    return 100 if errors > 0 else 0


def http_error_matcher(settings: OutlierDetection | None) -> matcher_pb2.MatchPredicate | None:
    """Return the predicate on `:status` for `outlierDetectionHttpErrorCodes`; None keeps Envoy's definition
    of an error (HttpProtocolOptions.OutlierDetection.error_matcher)."""
    if settings is None or not settings.outlier_detection_http_error_codes:
        return None
    predicates = [
        matcher_pb2.MatchPredicate(
            http_response_headers_match=matcher_pb2.HttpHeadersMatch(
                headers=[
                    route_components_pb2.HeaderMatcher(
                        name=":status", string_match=string_pb2.StringMatcher(exact=str(code))
                    )
                ]
            )
        )
        for code in settings.outlier_detection_http_error_codes
    ]
    if len(predicates) == 1:
        return predicates[0]
    return matcher_pb2.MatchPredicate(or_match=matcher_pb2.MatchPredicate.MatchSet(rules=predicates))
