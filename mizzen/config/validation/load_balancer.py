"""Load balancing of a destination."""

from __future__ import annotations

from datetime import timedelta
from math import isqrt
from typing import Final

from mizzen.config.models import (
    ConsistentHashLB,
    HTTPCookie,
    LoadBalancerSettings,
    MagLev,
    WarmupConfiguration,
)
from mizzen.config.validation.durations import check_duration, duration_text
from mizzen.config.validation.header_forms import hashed_name_problem, header_text_problem
from mizzen.config.validation.localities import check_locality_setting, check_zone_aware_setting
from mizzen.config.validation.percentages import check_share
from mizzen.config.validation.place import Place

_LARGEST_RING: Final = 8_388_608
_LARGEST_TABLE: Final = 5_000_011


def check_load_balancer(
    settings: LoadBalancerSettings | None, place: Place, *, has_outlier_detection: bool
) -> None:
    """Check load balancing; failover between localities needs outlier detection."""
    if settings is None:
        return
    if settings.consistent_hash is not None:
        _check_consistent_hash(settings.consistent_hash, place / "consistentHash")
    locality, zone_aware = settings.locality_lb_setting, settings.zone_aware_lb_setting
    if locality is not None:
        check_locality_setting(
            locality, place / "localityLbSetting", has_outlier_detection=has_outlier_detection
        )
    if zone_aware is not None:
        here = place / "zoneAwareLbSetting"
        if locality is not None:
            here.error("zoneAwareLbSetting and localityLbSetting exclude each other; keep one of them")
        check_zone_aware_setting(zone_aware, here, has_outlier_detection=has_outlier_detection)
    slow_start = settings.warmup_duration_secs
    if slow_start is not None and slow_start < timedelta(0):
        (place / "warmupDurationSecs").error(f"{duration_text(slow_start)} is negative; write 0s or more")
    if settings.warmup is not None:
        _check_warmup(settings.warmup, place / "warmup")


def _check_consistent_hash(settings: ConsistentHashLB, place: Place) -> None:
    for field, name in (
        ("httpHeaderName", settings.http_header_name),
        ("httpQueryParameterName", settings.http_query_parameter_name),
    ):
        if name is not None:
            (place / field).check(hashed_name_problem(name))
    if settings.http_cookie is not None:
        _check_cookie(settings.http_cookie, place / "httpCookie")
    if settings.minimum_ring_size and (settings.ring_hash is not None or settings.maglev is not None):
        (place / "minimumRingSize").error(
            "minimumRingSize excludes ringHash and maglev; write ringHash.minimumRingSize"
        )
    _check_ring_size(settings.minimum_ring_size, place / "minimumRingSize")
    if settings.ring_hash is not None:
        _check_ring_size(settings.ring_hash.minimum_ring_size, place / "ringHash" / "minimumRingSize")
    if settings.maglev is not None:
        _check_maglev(settings.maglev, place / "maglev" / "tableSize")


def _check_ring_size(size: int, place: Place) -> None:
    if size > _LARGEST_RING:
        place.error(f"{size} is too large a ring for Envoy; write at most {_LARGEST_RING}")


def _check_cookie(cookie: HTTPCookie, place: Place) -> None:
    if not cookie.name:
        (place / "name").error("the cookie has no name; write one")
    for field, text in (("name", cookie.name), ("path", cookie.path)):
        (place / field).check(header_text_problem(text))
    if cookie.ttl is not None and cookie.ttl < timedelta(0):
        (place / "ttl").error(
            f"{duration_text(cookie.ttl)} is negative; write 0s for a cookie of the session, or more"
        )
    names: set[str] = set()
    for index, attribute in enumerate(cookie.attributes):
        here = place / "attributes" / index / "name"
        if not attribute.name:
            here.error("the attribute has no name; write one, such as SameSite")
        elif attribute.name in names:
            here.error(f'"{attribute.name}" is given twice; leave one out')
        names.add(attribute.name)
        for field, text in (("name", attribute.name), ("value", attribute.value)):
            (place / "attributes" / index / field).check(header_text_problem(text))


def _check_maglev(maglev: MagLev, place: Place) -> None:
    if maglev.table_size == 0:
        place.error("the size of the table is missing; write a prime number, such as 65537")
    elif maglev.table_size >= _LARGEST_TABLE:
        place.error(f"{maglev.table_size} is too large; write a prime number below {_LARGEST_TABLE}")
    elif not is_prime(maglev.table_size):
        place.error(f"{maglev.table_size} is not prime; write a prime number, such as 65537")


def is_prime(number: int) -> bool:
    """Tell whether `number` is prime. (Envoy accepts 1 as a prime, and then divides by zero.)"""
    if number < 4:
        return number > 1
    return number % 2 == 1 and all(number % factor for factor in range(3, isqrt(number) + 1, 2))


def _check_warmup(warmup: WarmupConfiguration, place: Place) -> None:
    if warmup.duration is None:
        (place / "duration").error("the duration of the warm-up is missing; write one, such as 30s")
    check_duration(warmup.duration, place / "duration")
    check_share(warmup.minimum_percent, place / "minimumPercent")
    if warmup.aggression is not None and warmup.aggression <= 0:
        (place / "aggression").error(f"{warmup.aggression:g} is not possible; write a number above 0")
