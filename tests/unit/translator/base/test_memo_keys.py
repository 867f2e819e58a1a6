"""What a memo gives to several clients is what each of them would be given alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.rules.peer_authentication import NO_PEERS
from mizzen.mesh.service import Endpoint, EndpointPool, Locality, Service
from mizzen.translator.base.memo import Memo
from mizzen.translator.clusters.service_resources import ServiceResources, ServiceTranslator
from tests.unit.translator.clusters.cluster_scenes import Scene, endpoint, service

PLACES = [Locality(), Locality("eu", "eu-1"), Locality("us")]

POLICIES: list[dict[str, Any]] = [
    {},
    {"outlierDetection": {}},
    {"loadBalancer": {"localityLbSetting": {"distribute": [{"from": "eu", "to": {"eu": 90, "us": 10}}]}}},
    {"outlierDetection": {}, "loadBalancer": {"localityLbSetting": {"failoverPriority": ["version"]}}},
    {"loadBalancer": {"simple": "PASSTHROUGH"}},
    {"tls": {"mode": "SIMPLE"}},
    {"tls": {"mode": "MUTUAL", "clientCertificate": "/c", "privateKey": "/k"}},
    {"tls": {"mode": "ISTIO_MUTUAL"}},
    {"tls": {"mode": "SIMPLE", "credentialName": "shop"}},
]

MESHES = [
    {},
    {"enableAutoMtls": True},
    {"serviceSettings": [{"settings": {"clusterLocal": True}, "hosts": ["*"]}]},
    {"zoneAwareLbSetting": {}},
    {
        "enableAutoMtls": True,
        "meshNetworks": {"networks": {"west": {"gateways": [{"address": "192.0.2.1", "port": 15443}]}}},
    },
]

endpoints = st.builds(
    lambda address, place, version, mode, node, network, cluster, account: endpoint(
        address,
        addresses=(address, "2001:db8::1") if address == "10.0.0.2" else (),
        locality=place,
        labels={"version": version},
        tls_mode=mode,
        node_name=node,
        network=network,
        cluster_id=cluster,
        identity=account,
    ),
    st.sampled_from(["10.0.0.1", "10.0.0.2", "a.example"]),
    st.sampled_from(PLACES),
    st.sampled_from(["v1", "v2"]),
    st.sampled_from(["istio", "disabled"]),
    st.sampled_from(["", "n1"]),
    st.sampled_from(["", "west"]),
    st.sampled_from(["", "c1"]),
    st.sampled_from(["", "spiffe://cluster.local/ns/a/sa/b"]),
)

services = st.builds(
    service,
    st.sampled_from(["STATIC", "NONE", "DNS", "DNS_ROUND_ROBIN"]),
    st.sampled_from(["HTTP", "HTTP2", "UnsupportedProtocol"]),
    mesh_external=st.booleans(),
    traffic_distribution=st.sampled_from(["", "PreferClose", "PreferSameNode"]),
    internal_traffic_policy_local=st.booleans(),
)

profiles = st.builds(
    OutboundProfile,
    type=st.sampled_from(["sidecar", "router"]),
    namespace=st.sampled_from(["default", "other"]),
    dns_domain=st.just("default.svc.cluster.local"),
    labels=st.sampled_from([(), (("version", "v1"),)]),
    is_labelled=st.booleans(),
    ip_family=st.sampled_from(["V4_ONLY", "V6_ONLY", "ALL", "DUAL_STACK"]),
    locality=st.sampled_from(PLACES),
    network=st.sampled_from(["", "west", "east"]),
    cluster_id=st.sampled_from(["", "c1"]),
    node_name=st.sampled_from(["", "n1"]),
    requested_network_view=st.sampled_from([(), ("west",)]),
    tls_client_cert_chain=st.sampled_from(["", "/own"]),
    has_agent=st.booleans(),
    http10=st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(
    services,
    st.lists(endpoints, max_size=3),
    st.lists(endpoints, max_size=3),
    st.sampled_from(POLICIES),
    st.sampled_from(MESHES),
    profiles,
    profiles,
)
def test_clients_that_share_a_memo_are_given_what_they_would_be_alone(
    own: Service,
    drawn: list[Endpoint],
    later: list[Endpoint],
    policy: dict[str, Any],
    mesh: dict[str, Any],
    one: OutboundProfile,
    other: OutboundProfile,
) -> None:
    scene = Scene(own).meshed(json.dumps(mesh)).ruled(json.dumps({"trafficPolicy": policy}))
    # Proxies that differ in little are the ones that could be mistaken for each other.
    near = replace(
        other, type=one.type, ip_family=one.ip_family, tls_client_cert_chain=one.tls_client_cert_chain
    )
    pools = EndpointPool(tuple(drawn)), EndpointPool(tuple(later))
    memo, held = Memo(), []
    for profile in (one, other, near):
        for pool in pools:
            for sni_dnat in (False, True):
                inputs = (scene.service, scene.rule, pool, NO_PEERS)
                shared, alone = (
                    ServiceTranslator(profile, scene.mesh, each).resources(*inputs, sni_dnat=sni_dnat)
                    for each in (memo, Memo())
                )
                held.append(shared)
                assert versions(shared) == versions(alone)


def versions(made: ServiceResources) -> list[str]:
    return [f"{each.name} {each.version}" for each in (*made.all_clusters, *made.all_assignments)]
