"""Where Envoy is told to fetch a named resource from: always the same aggregated stream."""

from __future__ import annotations

from datetime import timedelta

from envoy.config.core.v3 import config_source_pb2
from google.protobuf import duration_pb2

INITIAL_FETCH_TIMEOUT = timedelta(seconds=15)
"""How long a listener or cluster waits for a resource that it names before it goes on without it. Istio sends
0, for ever: one missing resource then withholds every later acknowledgement of its type."""


def duration(value: timedelta) -> duration_pb2.Duration:
    """Return `value` as protobuf's Duration."""
    message = duration_pb2.Duration()
    message.FromTimedelta(value)
    return message


def aggregated_config_source() -> config_source_pb2.ConfigSource:
    """Return the ConfigSource "over ADS, version 3" with the finite fetch timeout above."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.ApiVersion.V3,
        initial_fetch_timeout=duration(INITIAL_FETCH_TIMEOUT),
    )
