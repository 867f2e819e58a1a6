"""Where the shop's workloads are, and the YAML that says so."""

from __future__ import annotations

from typing import Any

import yaml

from mizzen.demo.loopback import LoopbackNetwork
from mizzen.demo.topology import HOSTS, Topology, gateway_node, instance_yaml, sidecar_node

TOPOLOGY = Topology(LoopbackNetwork("127.83.12"), gateway_port=8081)


def _documents(kind: str) -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all(instance_yaml(TOPOLOGY))
    return {
        document["metadata"]["name"]: document["spec"] for document in documents if document["kind"] == kind
    }


def test_every_address_is_known_before_the_start() -> None:
    known = {TOPOLOGY.network.address(host) for host in HOSTS}
    assert {workload.address for workload in TOPOLOGY.workloads} <= known
    assert {workload.egress_address for workload in TOPOLOGY.workloads} <= known
    assert TOPOLOGY.gateway_address in known
    assert len(HOSTS) == len(set(HOSTS))


def test_each_workload_has_an_entry_with_the_labels_that_services_select() -> None:
    entries = _documents("WorkloadEntry")
    reviews = next(workload for workload in TOPOLOGY.workloads if workload.name == "reviews-v2")
    assert entries["reviews-v2"] == {
        "address": reviews.address,
        "labels": {"app": "reviews", "version": "v2"},
        "serviceAccount": "bookinfo-reviews",
    }
    assert entries["quotes-v1"]["ports"] == {"http": 9081}  # no proxy stands before it
    assert "serviceAccount" not in entries["quotes-v1"]  # so nobody calls it by mutual TLS


def test_each_sidecar_listens_for_its_workload_alone() -> None:
    sidecars = _documents("Sidecar")
    assert set(sidecars) == {workload.name for workload in TOPOLOGY.workloads if workload.in_mesh}
    reviews = next(workload for workload in TOPOLOGY.workloads if workload.name == "reviews-v2")
    spec = sidecars["reviews-v2"]
    assert spec["workloadSelector"] == {"labels": {"app": "reviews", "version": "v2"}}
    assert [listener["bind"] for listener in spec["ingress"]] == [reviews.address]
    assert {listener["bind"] for listener in spec["egress"]} == {reviews.egress_address}
    assert spec["outboundTrafficPolicy"] == {"mode": "REGISTRY_ONLY"}


def test_the_gateway_listens_where_a_port_was_free() -> None:
    service = _documents("Service")["istio-ingressgateway"]
    assert service["ports"] == [{"name": "http", "port": 8080, "targetPort": 8081}]
    assert TOPOLOGY.url == "http://127.0.0.1:8081"


def test_the_nodes_say_who_they_are() -> None:
    reviews = next(workload for workload in TOPOLOGY.workloads if workload.name == "reviews-v2")
    node = sidecar_node(reviews)
    assert node["id"] == f"sidecar~{reviews.address}~reviews-v2.default~default.svc.cluster.local"
    assert node["metadata"]["INTERCEPTION_MODE"] == "NONE"
    assert gateway_node(TOPOLOGY)["id"].startswith("router~127.83.12.2~istio-ingressgateway.default~")
    assert gateway_node(TOPOLOGY)["metadata"]["LABELS"] == {"istio": "ingressgateway"}
