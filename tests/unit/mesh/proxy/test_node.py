from __future__ import annotations

from datetime import timedelta

import pytest
from envoy.config.core.v3 import base_pb2

from mizzen.mesh.proxy.node import NodeError, Proxy
from mizzen.mesh.service import Locality

ID = "sidecar~10.0.0.7~reviews-v1.shop~shop.svc.cluster.local"


def test_reads_a_mapping_and_a_message_alike() -> None:
    fields = {
        "id": ID,
        "cluster": "reviews",
        "metadata": {
            "NAMESPACE": "shop",
            "LABELS": {"app": "reviews"},
            "INSTANCE_IPS": "10.0.0.7,fd00::7",
            "HTTP_PROXY_PORT": "15080",
            "IDLE_TIMEOUT": "30s",
            "HTTP10": "1",
            "DNS_CAPTURE": "true",
            "ENVOY_STATUS_PORT": 15021,
            "INTERCEPTION_MODE": "NONE",
        },
        "locality": {"region": "r", "zone": "z", "sub_zone": "s"},
    }
    message = base_pb2.Node(id=ID, cluster="reviews")
    message.metadata.update(fields["metadata"])
    message.locality.region, message.locality.zone, message.locality.sub_zone = "r", "z", "s"
    for proxy in (Proxy.from_node(fields), Proxy.from_node(message)):
        assert (proxy.type, proxy.id, proxy.namespace) == ("sidecar", "reviews-v1.shop", "shop")
        assert (proxy.node_id, proxy.node_cluster) == (ID, "reviews")
        assert proxy.ip_addresses == ("10.0.0.7", "fd00::7")
        assert not proxy.is_ipv4_only
        assert not proxy.is_ipv6_only
        assert proxy.labels == {"app": "reviews"}
        assert proxy.locality == Locality("r", "z", "s")
        assert proxy.interception_mode == "NONE"
        assert proxy.metadata.http_proxy_port == 15080
        assert proxy.metadata.idle_timeout == timedelta(seconds=30)
        assert proxy.metadata.http10
        assert proxy.metadata.dns_capture
        assert proxy.metadata.envoy_status_port == 15021


def test_the_version_of_envoy_is_the_builds_else_the_agents() -> None:
    message = base_pb2.Node(id=ID)
    assert Proxy.from_node(message).envoy_version == ""
    version = message.user_agent_build_version.version
    version.major_number, version.minor_number, version.patch = 1, 36, 2
    assert Proxy.from_node(message).envoy_version == "1.36.2"
    version.minor_number = version.patch = 0
    assert Proxy.from_node(message).envoy_version == "1.0.0"
    fields = {"id": ID, "user_agent_build_version": {"version": {"major_number": 1, "minor_number": 40}}}
    assert Proxy.from_node(fields).envoy_version == "1.40.0"
    assert Proxy.from_node({"id": ID, "userAgentVersion": "1.2.3"}).envoy_version == "1.2.3"


def test_text_may_be_written_as_a_number_or_a_flag() -> None:
    metadata = {"LABELS": {"a": True, "b": False, "c": 3.0, "d": 2.5, "e": {}}, "NETWORK": 7.0}
    proxy = Proxy.from_node({"id": ID, "metadata": metadata})
    assert proxy.labels == {"a": "true", "b": "false", "c": "3", "d": "2.5"}
    assert proxy.network == "7"


def test_namespace_comes_from_the_domain() -> None:
    assert Proxy.from_node({"id": ID}).namespace == "shop"
    assert Proxy.from_node({"id": "router~10.0.0.1~gw~local"}).namespace == ""


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({}, "four are needed"),
        ({"id": "sidecar~10.0.0.7~x"}, "has 3 part"),
        ({"id": "ztunnel~10.0.0.7~x~y"}, '"ztunnel", is not a type'),
        ({"id": "sidecar~here~x~y"}, 'the second part, "here", is not an IP address'),
        ({"id": ID, "metadata": {"INSTANCE_IPS": "10.0.0.1,x"}}, "INSTANCE_IPS"),
        ({"id": ID, "metadata": {"HTTP_PROXY_PORT": "x"}}, "HTTP_PROXY_PORT"),
        ({"id": ID, "metadata": {"IDLE_TIMEOUT": "30"}}, "IDLE_TIMEOUT"),
        ({"id": ID, "metadata": {"IDLE_TIMEOUT": "-30s"}}, "is negative; write 0s or more"),
        (
            {
                "id": ID,
                "metadata": {"PROXY_CONFIG": {"connectionSettings": {"http2InitialStreamWindowSize": 65534}}},
            },
            "write at least 65535",
        ),
        ({"id": ID, "metadata": {"INTERCEPTION_MODE": "nothing"}}, "write REDIRECT, TPROXY or NONE"),
    ],
)
def test_says_what_is_wrong_with_a_node(node: dict[str, object], words: str) -> None:
    with pytest.raises(NodeError, match=words):
        Proxy.from_node(node)
