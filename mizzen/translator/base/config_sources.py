"""The sources from which Envoy fetches a named resource: the aggregated stream, or the agent beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from envoy.config.core.v3 import config_source_pb2, grpc_service_pb2
from google.protobuf import duration_pb2

INITIAL_FETCH_TIMEOUT = timedelta(seconds=15)
"""Longest time that a listener or cluster waits for a resource that it names. Istio sends 0, which means for
ever: then one missing resource blocks every later ACK of its type."""


AGENT_CLUSTER: Final = "sds-grpc"
"""The static cluster of the agent that serves secrets to its Envoy; Istio's name."""


def duration(value: timedelta) -> duration_pb2.Duration:
    """Return `value` as protobuf's Duration."""
    message = duration_pb2.Duration()
    message.FromTimedelta(value)
    return message


def aggregated_config_source() -> config_source_pb2.ConfigSource:
    """Return the ConfigSource for ADS, version 3, with the fetch timeout above."""
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(),
        resource_api_version=config_source_pb2.ApiVersion.V3,
        initial_fetch_timeout=duration(INITIAL_FETCH_TIMEOUT),
    )


def agent_config_source() -> config_source_pb2.ConfigSource:
    """Return the ConfigSource for the agent beside this Envoy, version 3, with the same fetch timeout."""
    source = config_source_pb2.ConfigSource(
        resource_api_version=config_source_pb2.ApiVersion.V3,
        initial_fetch_timeout=duration(INITIAL_FETCH_TIMEOUT),
    )
    api = source.api_config_source
    api.api_type = config_source_pb2.ApiConfigSource.GRPC
    api.transport_api_version = config_source_pb2.ApiVersion.V3
    api.set_node_on_first_message_only = True
    api.grpc_services.append(
        grpc_service_pb2.GrpcService(
            envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=AGENT_CLUSTER)
        )
    )
    return source
