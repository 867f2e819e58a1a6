"""Profiles: the part of a proxy that outbound translation may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from mizzen.config.interception import InterceptionMode
from mizzen.config.proxy_config import ProxyConfig
from mizzen.mesh.proxy.node import Proxy, ProxyType
from mizzen.mesh.service import Locality

IPFamily = Literal["V4_ONLY", "V6_ONLY", "ALL", "DUAL_STACK"]
"""The address families of a proxy. With ALL it has both and uses IPv4 where one must be chosen; with
DUAL_STACK, which must be turned on, it uses both."""


@dataclass(frozen=True, slots=True)
class OutboundProfile:
    """All that outbound translation may read of a proxy. Compared by value: proxies that no rule
    distinguishes have equal profiles, and share everything that is built from them.

    Without `has_certificate` it cannot speak the mesh's mutual TLS. `labels` holds only labels whose keys a
    rule mentions; `is_labelled` says whether the proxy has any label (its node counts as one), if some
    service prefers endpoints by labels; `node_name` is empty unless a service asks for endpoints on the
    client's node.
    """

    type: ProxyType
    namespace: str
    dns_domain: str
    labels: tuple[tuple[str, str], ...] = ()
    is_labelled: bool = False
    ip_family: IPFamily = "V4_ONLY"
    locality: Locality = field(default_factory=Locality)
    network: str = ""
    cluster_id: str = ""
    interception_mode: InterceptionMode = "REDIRECT"
    node_name: str = ""
    http_proxy_port: int | None = None
    idle_timeout: timedelta | None = None
    http10: bool = False
    dns_capture: bool = False
    unprivileged_pod: bool = False
    envoy_status_port: int | None = None
    envoy_prometheus_port: int | None = None
    requested_network_view: tuple[str, ...] = ()
    tls_client_cert_chain: str = ""
    tls_client_key: str = ""
    tls_client_root_cert: str = ""
    has_agent: bool = False
    outbound_listener_exact_balance: bool = False
    proxy_config: ProxyConfig | None = None
    has_certificate: bool = True

    @property
    def is_router(self) -> bool:
        """True if the proxy is a gateway."""
        return self.type == "router"

    def has_labels(self, wanted: Mapping[str, str]) -> bool:
        """Return True if the labels include all of `wanted`, whose keys are mentioned by a rule."""
        labels = dict(self.labels)
        return all(labels.get(key) == value for key, value in wanted.items())


def outbound_profile(
    proxy: Proxy,
    labels: tuple[tuple[str, str], ...],
    default_config: ProxyConfig,
    *,
    is_labelled: bool,
    locality: Locality,
    with_node_name: bool,
    has_certificate: bool,
) -> OutboundProfile:
    """Return the profile of `proxy`.

    `labels` are the labels of its workload that rules mention, `is_labelled` is as in the profile,
    `locality` is the locality that it is treated as having, and `default_config` is the mesh's ProxyConfig,
    which applies unless the proxy has its own.
    """
    metadata = proxy.metadata
    return OutboundProfile(
        type=proxy.type,
        namespace=proxy.namespace,
        dns_domain=proxy.dns_domain,
        labels=labels,
        is_labelled=is_labelled,
        ip_family=ip_family(proxy, metadata.proxy_config or default_config),
        locality=locality,
        network=proxy.network,
        cluster_id=proxy.cluster_id,
        interception_mode=proxy.interception_mode,
        node_name=metadata.node_name if with_node_name else "",
        http_proxy_port=metadata.http_proxy_port,
        idle_timeout=metadata.idle_timeout,
        http10=metadata.http10,
        dns_capture=metadata.dns_capture,
        unprivileged_pod=metadata.unprivileged_pod,
        envoy_status_port=metadata.envoy_status_port,
        envoy_prometheus_port=metadata.envoy_prometheus_port,
        requested_network_view=metadata.requested_network_view,
        tls_client_cert_chain=metadata.tls_client_cert_chain,
        tls_client_key=metadata.tls_client_key,
        tls_client_root_cert=metadata.tls_client_root_cert,
        has_agent=metadata.agent,
        outbound_listener_exact_balance=metadata.outbound_listener_exact_balance,
        proxy_config=metadata.proxy_config,
        has_certificate=has_certificate,
    )


def ip_family(proxy: Proxy, proxy_config: ProxyConfig) -> IPFamily:
    """Return the address families of `proxy`, and whether it uses both
    (docs/decisions/0007-networks-and-dual-stack.md); `proxy_config` is the ProxyConfig in force for it."""
    if proxy.is_ipv4_only:
        return "V4_ONLY"
    if proxy.is_ipv6_only:
        return "V6_ONLY"
    return "DUAL_STACK" if proxy_config.dual_stack else "ALL"
