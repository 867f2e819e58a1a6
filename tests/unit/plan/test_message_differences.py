"""Each difference of two messages is named by its path, with both values, and without secrets."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf import json_format

from mizzen.plan.message_differences import differences


def said(message: type, old: dict[str, Any], new: dict[str, Any]) -> tuple[str, ...]:
    return differences(json_format.ParseDict(old, message()), json_format.ParseDict(new, message()))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"name": "a"}, {"name": "b"}, ("name: a to b",)),
        ({"lb_policy": "RANDOM"}, {"lb_policy": "MAGLEV"}, ("lb_policy: RANDOM to MAGLEV",)),
        ({}, {"connect_timeout": "2.5s"}, ("connect_timeout: none to 2.5s",)),
        (
            {"per_connection_buffer_limit_bytes": 1},
            {"per_connection_buffer_limit_bytes": 2},
            ("per_connection_buffer_limit_bytes: 1 to 2",),
        ),
        (
            {"metadata": {"filter_metadata": {"a": {"x": 1}, "b": {"y": "old"}}}},
            {"metadata": {"filter_metadata": {"b": {"y": "new"}}}},
            (
                "metadata.filter_metadata[a]: removed",
                "metadata.filter_metadata[b].fields[y].string_value: old to new",
            ),
        ),
    ],
)
def test_a_field_is_named_with_both_values(
    old: dict[str, Any], new: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert said(cluster_pb2.Cluster, old, new) == expected
    assert said(cluster_pb2.Cluster, new, new) == ()


def test_lists_are_compared_by_name_and_say_another_order() -> None:
    old = {"virtual_hosts": [{"name": "a"}, {"name": "b", "domains": ["x"]}, {"name": "c"}]}
    new = {"virtual_hosts": [{"name": "c"}, {"name": "b", "domains": ["x", "y"]}, {"name": "d"}]}
    assert said(route_pb2.RouteConfiguration, old, new) == (
        "virtual_hosts[a]: removed",
        "virtual_hosts[b].domains: with y",
        "virtual_hosts[d]: added",
        "virtual_hosts: in a different order",
    )


def test_packed_messages_are_looked_into_and_secrets_are_not_told() -> None:
    sockets = []
    for key in ("very secret", "more secret"):
        context = tls_pb2.UpstreamTlsContext(sni=f"for {key[:4]}")
        context.common_tls_context.tls_certificates.add().private_key.inline_string = key
        socket = base_pb2.TransportSocket(name="tls")
        socket.typed_config.Pack(context)
        sockets.append(socket)
    assert differences(*sockets) == (
        "typed_config.common_tls_context.tls_certificates[0].private_key.inline_string: changed",
        "typed_config.sni: for very to for more",
    )


def test_many_differences_are_counted() -> None:
    old = {"virtual_hosts": [{"name": str(number)} for number in range(50)]}
    assert said(route_pb2.RouteConfiguration, old, {})[-1] == "and 38 more"
