"""The route configuration within a sidecar's inbound listener."""

from __future__ import annotations

import pytest
from google.protobuf.json_format import MessageToDict

from mizzen.config import MeshConfig
from mizzen.mesh.service import Protocol, Resolution, Service, ServicePort
from mizzen.translator.routes.inbound import inbound_route_configuration


def inbound(protocol: Protocol = Protocol.HTTP, **mesh_config: object) -> dict:
    port = ServicePort("http", 80, protocol, 8080)
    service = Service("a.example.com", "default", "a", (port,), Resolution.STATIC)
    config = MeshConfig.model_validate(mesh_config)
    message = inbound_route_configuration(service, port, "inbound|8080||", config)
    return MessageToDict(message, preserving_proto_field_name=True)


def test_everything_goes_to_the_workload() -> None:
    assert inbound() == {
        "name": "inbound|8080||",
        "validate_clusters": False,
        "virtual_hosts": [
            {
                "name": "inbound|http|80",
                "domains": ["*"],
                "routes": [
                    {
                        "name": "default",
                        "match": {"prefix": "/"},
                        "decorator": {"operation": "a.example.com:80/*"},
                        "route": {
                            "cluster": "inbound|8080||",
                            "timeout": "0s",
                            "max_stream_duration": {
                                "max_stream_duration": "0s",
                                "grpc_timeout_header_max": "0s",
                            },
                            "retry_policy": {"retry_on": "reset-before-request", "num_retries": 2},
                        },
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("protocol", "policy", "expected"),
    [
        (Protocol.GRPC, None, None),
        (Protocol.HTTP2, None, {"retry_on": "reset-before-request", "num_retries": 2}),
        (Protocol.HTTP, {"attempts": 0}, None),
        (
            Protocol.HTTP,
            {"attempts": 5, "retryOn": "reset,503", "backoff": "1s"},
            {
                "retry_on": "reset,retriable-status-codes",
                "retriable_status_codes": [503],
                "num_retries": 5,
                "retry_back_off": {"base_interval": "1s"},
            },
        ),
    ],
)
def test_retries(protocol: Protocol, policy: object, expected: object) -> None:
    mesh_config = {} if policy is None else {"defaultInboundHttpRetryPolicy": policy}
    (route,) = inbound(protocol, **mesh_config)["virtual_hosts"][0]["routes"]
    assert route["route"].get("retry_policy") == expected
