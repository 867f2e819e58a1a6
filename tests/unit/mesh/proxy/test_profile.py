"""Proxies that outbound translation could tell apart have different profiles."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mizzen.config.proxy_config import ProxyConfig
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import OutboundProfile, outbound_profile
from mizzen.mesh.service import Locality

DEFAULT = ProxyConfig()
DUAL_STACK = {"proxyMetadata": {"ISTIO_DUAL_STACK": "true"}}


def profile_of(
    node_id: str = "sidecar~10.0.0.7~a.shop~shop.svc.cluster.local",
    locality: dict[str, str] | None = None,
    with_node_name: bool = True,
    labels: tuple[tuple[str, str], ...] = (),
    default_config: ProxyConfig = DEFAULT,
    **metadata: Any,
) -> OutboundProfile:
    proxy = Proxy.from_node({"id": node_id, "metadata": metadata, "locality": locality or {}})
    return outbound_profile(
        proxy,
        labels,
        default_config,
        is_labelled=False,
        locality=proxy.locality,
        with_node_name=with_node_name,
        has_certificate=True,
    )


PLAIN = profile_of()


@pytest.mark.parametrize(
    ("node", "field", "value"),
    [
        ({"node_id": "router~10.0.0.7~a.shop~shop.svc.cluster.local"}, "type", "router"),
        ({"NAMESPACE": "other"}, "namespace", "other"),
        ({"node_id": "sidecar~10.0.0.7~a.shop~shop.other", "NAMESPACE": "shop"}, "dns_domain", "shop.other"),
        ({"labels": (("app", "a"),)}, "labels", (("app", "a"),)),
        ({"INSTANCE_IPS": "fd00::7"}, "ip_family", "V6_ONLY"),
        ({"INSTANCE_IPS": "10.0.0.7,fd00::7"}, "ip_family", "ALL"),
        ({"locality": {"region": "r", "zone": "z", "sub_zone": "s"}}, "locality", Locality("r", "z", "s")),
        ({"NETWORK": "west"}, "network", "west"),
        ({"CLUSTER_ID": "c1"}, "cluster_id", "c1"),
        ({"INTERCEPTION_MODE": "TPROXY"}, "interception_mode", "TPROXY"),
        ({"NODE_NAME": "n1"}, "node_name", "n1"),
        ({"HTTP_PROXY_PORT": "15080"}, "http_proxy_port", 15080),
        ({"IDLE_TIMEOUT": "30s"}, "idle_timeout", timedelta(seconds=30)),
        ({"HTTP10": "1"}, "http10", True),
        ({"DNS_CAPTURE": "true"}, "dns_capture", True),
        ({"UNPRIVILEGED_POD": "true"}, "unprivileged_pod", True),
        ({"ENVOY_STATUS_PORT": "15021"}, "envoy_status_port", 15021),
        ({"ENVOY_PROMETHEUS_PORT": "15090"}, "envoy_prometheus_port", 15090),
        ({"REQUESTED_NETWORK_VIEW": "west, ,east"}, "requested_network_view", ("west", "east")),
        ({"TLS_CLIENT_CERT_CHAIN": "/c"}, "tls_client_cert_chain", "/c"),
        ({"TLS_CLIENT_KEY": "/k"}, "tls_client_key", "/k"),
        ({"TLS_CLIENT_ROOT_CERT": "/r"}, "tls_client_root_cert", "/r"),
        ({"SDS_AGENT": "true"}, "has_agent", True),
        ({"OUTBOUND_LISTENER_EXACT_BALANCE": "true"}, "outbound_listener_exact_balance", True),
    ],
)
def test_what_a_node_says_is_in_its_profile_alone(node: dict[str, Any], field: str, value: Any) -> None:
    found = profile_of(**node)
    assert getattr(found, field) == value
    differing = {name for name in OutboundProfile.__slots__ if getattr(found, name) != getattr(PLAIN, name)}
    assert differing == {field}


def test_a_proxys_own_config_stands_in_place_of_the_meshs() -> None:
    both, dual = "10.0.0.7,fd00::7", ProxyConfig.model_validate(DUAL_STACK)
    own = profile_of(INSTANCE_IPS=both, PROXY_CONFIG=DUAL_STACK)
    assert (own.ip_family, own.proxy_config) == ("DUAL_STACK", dual)
    assert profile_of(INSTANCE_IPS=both, default_config=dual).ip_family == "DUAL_STACK"
    other = profile_of(INSTANCE_IPS=both, default_config=dual, PROXY_CONFIG={"concurrency": 2})
    assert other.ip_family == "ALL"


def test_the_node_is_told_only_where_a_service_asks_for_it() -> None:
    assert profile_of(NODE_NAME="n1", with_node_name=False) == PLAIN
