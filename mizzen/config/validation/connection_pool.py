"""Limits of connections and requests."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from mizzen.config.models import (
    ConnectionPoolSettings,
    H2UpgradePolicy,
    HTTPSettings,
    TcpKeepalive,
    TCPSettings,
)
from mizzen.config.models.base import IstioModel, camel_case
from mizzen.config.validation.durations import check_duration, duration_problem, duration_text
from mizzen.config.validation.place import Place

_SECOND: Final = timedelta(seconds=1)
_LONGEST_KEEPALIVE: Final = timedelta(seconds=32767)
_MOST_PROBES: Final = 127


def check_connection_pool(settings: ConnectionPoolSettings | None, place: Place) -> None:
    """Check limits that may be absent."""
    if settings is None:
        return
    if settings.http is None and settings.tcp is None:
        place.error("connectionPool is empty; write http or tcp in it")
    if settings.http is not None:
        _check_http(settings.http, place / "http")
    if settings.tcp is not None:
        _check_tcp(settings.tcp, place / "tcp")


def _check_http(http: HTTPSettings, place: Place) -> None:
    for limit in (
        "http1_max_pending_requests",
        "http2_max_requests",
        "max_requests_per_connection",
        "max_retries",
        "max_concurrent_streams",
    ):
        _check_not_negative(http, limit, place)
    check_duration(http.idle_timeout, place / "idleTimeout")
    if http.h2_upgrade_policy is H2UpgradePolicy.UPGRADE and http.use_client_protocol:
        (place / "useClientProtocol").error(
            "useClientProtocol and h2UpgradePolicy UPGRADE exclude each other; keep one of them"
        )
    if http.http2_keep_alive is not None:
        for field, duration in (
            ("interval", http.http2_keep_alive.interval),
            ("timeout", http.http2_keep_alive.timeout),
        ):
            here = place / "http2KeepAlive" / field
            if duration is None:
                here.error(f"the {field} is missing; write one, such as 10s")
            check_duration(duration, here)


def _check_tcp(tcp: TCPSettings, place: Place) -> None:
    _check_not_negative(tcp, "max_connections", place)
    check_duration(tcp.connect_timeout, place / "connectTimeout")
    check_duration(tcp.max_connection_duration, place / "maxConnectionDuration")
    if tcp.idle_timeout:
        # Zero is allowed: it switches the timeout off.
        check_duration(tcp.idle_timeout, place / "idleTimeout")
    if tcp.tcp_keepalive is not None:
        check_keepalive(tcp.tcp_keepalive, place / "tcpKeepalive")


def check_keepalive(keepalive: TcpKeepalive, place: Place) -> None:
    """Check TCP keep-alive. The bounds are those of Linux (include/net/tcp.h, MAX_TCP_KEEPIDLE and its
    neighbours): Envoy accepts more, and then every connection fails."""
    if keepalive.probes > _MOST_PROBES:
        (place / "probes").error(
            f"{keepalive.probes} probes are more than Linux takes; write at most {_MOST_PROBES}"
        )
    for field, duration in (("time", keepalive.time), ("interval", keepalive.interval)):
        here = place / field
        if duration is None or not here.check(duration_problem(duration)):
            continue
        if duration > _LONGEST_KEEPALIVE:
            here.error(
                f"{duration_text(duration)} is longer than Linux takes; write at most "
                f"{duration_text(_LONGEST_KEEPALIVE)}"
            )
        elif duration < _SECOND:
            here.warning(
                f"{duration_text(duration)} is less than a second, in which keep-alive counts, so the "
                "system's own time holds; write at least 1s"
            )


def _check_not_negative(settings: IstioModel, limit: str, place: Place) -> None:
    value = getattr(settings, limit)
    if value < 0:
        (place / camel_case(limit)).error(f"{value} is negative; write 0 or more")
