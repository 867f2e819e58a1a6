"""When endpoints are ejected from load balancing."""

from __future__ import annotations

from mizzen.config.models import OutlierDetection
from mizzen.config.validation.durations import check_duration
from mizzen.config.validation.percentages import check_percent
from mizzen.config.validation.place import Place


def check_outlier_detection(detection: OutlierDetection | None, place: Place) -> None:
    """Check outlier detection that may be absent."""
    if detection is None:
        return
    if detection.consecutive_errors < 0:
        (place / "consecutiveErrors").error(f"{detection.consecutive_errors} is negative; write 0 or more")
    check_duration(detection.base_ejection_time, place / "baseEjectionTime")
    check_duration(detection.interval, place / "interval")
    split = detection.split_external_local_origin_errors or place.lost("splitExternalLocalOriginErrors")
    if detection.consecutive_local_origin_failures and not split:
        (place / "consecutiveLocalOriginFailures").error(
            "local failures are counted apart only with splitExternalLocalOriginErrors; write that as true"
        )
    check_percent(detection.max_ejection_percent, place / "maxEjectionPercent")
    check_percent(detection.min_health_percent, place / "minHealthPercent")
