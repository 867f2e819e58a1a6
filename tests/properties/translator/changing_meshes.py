"""Meshes whose files change.

A file holds several documents, so one of them can change its name, move to other lines, or turn up in two.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st

import mizzen
from mizzen.config.mesh_config import MeshConfig
from tests.properties.translator.drawn_rules import (
    delegates,
    destination_rules,
    gateways,
    invalid,
    peer_authentications,
    sidecars,
    virtual_services,
)
from tests.properties.translator.drawn_services import (
    listings,
    pods,
    secrets,
    service_entries,
    services,
    workloads,
)
from tests.properties.translator.drawn_world import LABELS, worlds

DOCUMENTS = {
    "Service": services,
    "WorkloadEntry": workloads,
    "Pod": pods,
    "listing": listings,
    "ServiceEntry": service_entries,
    "DestinationRule": destination_rules,
    "VirtualService": virtual_services,
    "delegate": delegates,
    "Gateway": gateways,
    "Sidecar": sidecars,
    "PeerAuthentication": peer_authentications,
    "Secret": secrets,
    "invalid": invalid,
}


@st.composite
def meeting_documents(draw: st.DrawFn) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a strategy for documents of a few kinds that share a few names."""
    world = draw(worlds(tuple(DOCUMENTS)))
    return st.one_of([DOCUMENTS[kind](world) for kind in world.kinds])


FILES = tuple(f"{number}.yaml" for number in range(9))

MESH_CONFIGS = tuple(
    MeshConfig.model_validate(each)
    for each in (
        {},
        {
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
            "defaultServiceExportTo": ["."],
            "proxyHttpPort": 15007,
            "serviceSettings": [
                {"settings": {"clusterLocal": True}, "hosts": ["*.default.svc.cluster.local"]}
            ],
        },
        {
            "outboundTrafficPolicy": {
                "mode": "ALLOW_ANY_DYNAMIC_DNS",
                "tls": {"mode": "SIMPLE", "caCertificates": "/ca.pem"},
            },
            "zoneAwareLbSetting": {},
            "defaultConfig": {"proxyMetadata": {"PILOT_ENABLE_QUIC_LISTENERS": "true"}},
        },
        {
            "enableAutoMtls": True,
            "defaultVirtualServiceExportTo": ["."],
            "defaultDestinationRuleExportTo": ["."],
            "localityLbSetting": {"failover": [{"from": "eu", "to": "us"}]},
            "defaultConfig": {"proxyMetadata": {"ISTIO_DUAL_STACK": "true"}},
            "meshNetworks": {
                "networks": {
                    "east": {
                        "endpoints": [{"fromCidr": "10.0.0.1/32"}],
                        "gateways": [{"address": "192.0.2.1", "port": 15443}],
                    },
                    "west": {
                        "endpoints": [{"fromCidr": "10.0.0.2/32"}],
                        "gateways": [
                            {"address": "192.0.2.2", "port": 15443},
                            {"address": "192.0.2.3", "port": 15443},
                        ],
                    },
                }
            },
        },
    )
)


def proxy(kind: str, addresses: str, namespace: str, own: dict[str, str], **metadata: str) -> mizzen.Proxy:
    address = addresses.partition(",")[0]
    region = metadata.pop("region", "")
    return mizzen.Proxy.from_node(
        {
            "id": f"{kind}~{address}~w.{namespace}~{namespace}.svc.cluster.local",
            "locality": {"region": region, "zone": f"{region}-1"} if region else {},
            "metadata": {"NAMESPACE": namespace, "LABELS": own, "INSTANCE_IPS": addresses, **metadata},
        }
    )


PROXIES = (
    proxy("sidecar", "10.0.0.1", "default", LABELS[0], region="eu"),
    proxy("sidecar", "10.0.0.2", "shop", LABELS[2], INTERCEPTION_MODE="NONE", NETWORK="west"),
    proxy(
        "sidecar",
        "10.9.9.9,2001:db8::9",
        "default",
        {"app": "client"},
        DNS_CAPTURE="true",
        NETWORK="east",
        NODE_NAME="n1",
    ),
    proxy("sidecar", "10.0.0.3", "istio-system", LABELS[1], HTTP_PROXY_PORT="15080", DNS_CAPTURE="true"),
    proxy("sidecar", "10.9.9.8", "shop", {}, region="us", UNPRIVILEGED_POD="true"),
    proxy("router", "10.0.0.3", "default", LABELS[3], NETWORK="west"),
    proxy("router", "10.9.9.7", "default", LABELS[4], NETWORK="west"),
    proxy("router", "10.0.0.4", "shop", {"istio": "gw"}, NETWORK="east", DNS_CAPTURE="true"),
)
