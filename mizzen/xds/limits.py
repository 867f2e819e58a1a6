"""Bounds on what clients can make the server do."""

from dataclasses import dataclass, fields
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what clients can make the server do.

    Attributes:
        max_streams: most open streams. The server refuses one more with RESOURCE_EXHAUSTED, and the client
            comes again after its back-off.
        concurrent_starts: most streams that get their first resources at the same time; further ones wait.
            So a thousand clients that reconnect together are served completely, one after the other.
        start_timeout: longest time for which a slow client may hold up one of these starts; also the longest
            silence at the beginning of a stream.
        max_request_bytes: most bytes of one request.
        max_node_bytes: most bytes of the `Node` in a request.
        max_node_id: most characters of `Node.id`.
        max_names: most names that one stream may ask for, and most resources of a type that a client may
            claim to have at the beginning of a stream.
        keepalive: silence after which the server pings a connection.
        keepalive_timeout: longest time for the answer to a ping.
        max_connection_age: age at which the server asks a client to reconnect, give or take a tenth; None for
            never. So clients spread over several servers again after one of them was away.
        max_connection_age_grace: time after `max_connection_age` until the server closes the connection.
            Envoy keeps a stream open as long as it can, so without this bound the age would have no effect.

    Raises:
        TypeError: a time is not a `timedelta`, or a number is not an int.
        ValueError: a time or number is not positive.
    """

    max_streams: int = 20_000
    concurrent_starts: int = 64
    start_timeout: timedelta = timedelta(seconds=5)
    max_request_bytes: int = 16 << 20
    max_node_bytes: int = 1 << 20
    max_node_id: int = 1024
    max_names: int = 200_000
    keepalive: timedelta = timedelta(seconds=30)
    keepalive_timeout: timedelta = timedelta(seconds=20)
    max_connection_age: timedelta | None = None
    max_connection_age_grace: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, int):
                if not isinstance(value, int):
                    raise TypeError(f"{field.name} is a number, not {value!r}")
            elif value is None and field.default is None:
                continue
            elif not isinstance(value, timedelta):
                raise TypeError(f"{field.name} is a timedelta, not {value!r}")
            if value <= type(value)():
                raise ValueError(f"{field.name} must be positive, not {value}")

    def channel_options(self) -> list[tuple[str, int]]:
        """These limits as gRPC's options (https://grpc.github.io/grpc/core/group__grpc__arg__keys.html)."""
        options = [
            ("grpc.max_receive_message_length", self.max_request_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", _milliseconds(self.keepalive)),
            ("grpc.keepalive_timeout_ms", _milliseconds(self.keepalive_timeout)),
            ("grpc.keepalive_permit_without_calls", 1),
            # gRPC takes the longer of the two timeouts, and the default of this one is a minute.
            ("grpc.http2.ping_timeout_ms", _milliseconds(self.keepalive_timeout)),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.http2.max_ping_strikes", 0),
            # By default gRPC pings an idle connection only twice, so it would never notice a dead one.
            ("grpc.http2.max_pings_without_data", 0),
            # By default a second server on the same port would silently take a share of the connections.
            ("grpc.so_reuseport", 0),
        ]
        if self.max_connection_age is not None:
            options += [
                ("grpc.max_connection_age_ms", _milliseconds(self.max_connection_age)),
                ("grpc.max_connection_age_grace_ms", _milliseconds(self.max_connection_age_grace)),
            ]
        return options


def _milliseconds(value: timedelta) -> int:
    return round(value.total_seconds() * 1000)
