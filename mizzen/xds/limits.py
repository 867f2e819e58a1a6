"""What a client may cost."""

from dataclasses import dataclass, fields
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what clients can make the server do.

    Attributes:
        max_streams: streams open at a time; a further one is refused with RESOURCE_EXHAUSTED, and the
            client comes again after its back-off.
        concurrent_starts: streams that are given their first resources at a time; the others wait. A thousand
            clients that reconnect together are served one after the other, not all half.
        start_timeout: how long one of these places may be kept by a slow client; also how long a stream
            may stay silent at the beginning.
        max_request_bytes: size of one request.
        max_node_bytes: size of the `Node` in it.
        max_node_id: characters of `Node.id`.
        max_names: names that one stream may ask for, and resources of a type that it may claim to hold when
            it begins.
        keepalive: how long a connection may be silent before it is asked for a sign of life.
        keepalive_timeout: how long the sign of life may take.
        max_connection_age: when a connection is asked to go and come back, give or take a tenth, so that
            clients spread again after one of several servers was away; None for never.
        max_connection_age_grace: how long it may take to go; then the connection is closed. Without an end
            nothing would come of the age, for Envoy keeps a stream as long as it lasts.

    Raises:
        TypeError: a time is not a `timedelta`, or a number not an int.
        ValueError: one of them is not positive.
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
        """The same in gRPC's words (https://grpc.github.io/grpc/core/group__grpc__arg__keys.html)."""
        options = [
            ("grpc.max_receive_message_length", self.max_request_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", _milliseconds(self.keepalive)),
            ("grpc.keepalive_timeout_ms", _milliseconds(self.keepalive_timeout)),
            ("grpc.keepalive_permit_without_calls", 1),
            # The longer of the two would count, and this one is a minute if nobody says otherwise.
            ("grpc.http2.ping_timeout_ms", _milliseconds(self.keepalive_timeout)),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.http2.max_ping_strikes", 0),
            # Else gRPC asks an idle connection twice and then no more, and a dead one is never found out.
            ("grpc.http2.max_pings_without_data", 0),
            # Else a second server on the same port would share its connections in silence.
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
