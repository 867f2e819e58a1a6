"""A proxy that has an agent asks it for its certificate and the roots, and the control plane for the rest."""

from __future__ import annotations

import pytest
from envoy.config.core.v3 import config_source_pb2

from mizzen.translator.tls.secret_names import sds_config


@pytest.mark.parametrize("name", ["default", "ROOTCA"])
def test_an_agent_serves_the_certificate_and_the_roots(name: str) -> None:
    source = sds_config(name, has_agent=True).sds_config
    api = source.api_config_source
    assert api.api_type == config_source_pb2.ApiConfigSource.GRPC
    assert [each.envoy_grpc.cluster_name for each in api.grpc_services] == ["sds-grpc"]
    assert source.resource_api_version == config_source_pb2.ApiVersion.V3
    assert source.initial_fetch_timeout.seconds == 15


@pytest.mark.parametrize(
    ("name", "has_agent"),
    [
        ("default", False),
        ("ROOTCA", False),
        ("kubernetes://shop-cert", True),
        ("file-root:system", True),
    ],
)
def test_the_rest_comes_over_the_aggregated_stream(name: str, has_agent: bool) -> None:
    assert sds_config(name, has_agent=has_agent).sds_config.HasField("ads")
