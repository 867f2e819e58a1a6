"""With several networks and dual stack, too, following changes gives what a new build gives."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings

import mizzen
from mizzen.config import ConfigStore
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation
from tests.properties.translator.test_incremental import (
    NETWORKING,
    STANDING,
    document,
    edits,
    parsed,
    versions,
)

PROXIES = [
    mizzen.Proxy.from_node(
        {
            "id": f"{kind}~10.9.9.{number}~client-{number}.default~default.svc.cluster.local",
            "metadata": {
                "NAMESPACE": "default",
                "LABELS": {"istio": "ingressgateway"},
                "NETWORK": network,
                "INSTANCE_IPS": addresses,
            },
        }
    )
    for number, (kind, network, addresses) in enumerate(
        [
            ("sidecar", "east", "10.9.9.9"),
            ("sidecar", "west", "10.9.9.9,2001:db8::9"),
            ("sidecar", "", "2001:db8::9"),
            ("router", "west", "10.9.9.9,2001:db8::9"),
        ]
    )
]

SETTINGS = MeshConfig.model_validate(
    {
        "enableAutoMtls": True,
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
    }
)

PODS = [
    document(
        "Pod",
        "v1",
        namespace,
        "dual",
        metadata={"labels": {"app": "reviews"}},
        status={"podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}, {"ip": "2001:db8::2"}]},
    )
    for namespace in ("default", "shop")
]


def with_identity(content: dict[str, Any]) -> dict[str, Any]:
    """A workload that speaks mutual TLS, if its weight is odd; one known by its network alone, if it is 2."""
    if content["kind"] != "WorkloadEntry":
        return content
    spec = dict(content["spec"])
    if spec["weight"] % 2:
        spec["serviceAccount"] = "a"
    if spec["weight"] == 2:
        spec |= {"network": "west", "serviceAccount": "a"}
        del spec["address"]
    return {**content, "spec": spec}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edits)
def test_following_changes_gives_what_a_new_build_gives(
    batches: list[list[tuple[dict[str, Any], bool, int]]],
) -> None:
    store = ConfigStore()
    standing = [*STANDING, *PODS]
    store.apply({f"{number}.yaml": parsed(each, f"{number}.yaml") for number, each in enumerate(standing)})
    mesh = Mesh.build(store.configs(), SETTINGS)
    translation = Translation(mesh)
    for batch in batches:
        files: dict[str, Any] = {}
        for content, deleted, comments in batch:
            metadata = content["metadata"]
            file = f"a-{content['kind']}-{metadata['namespace']}-{metadata['name']}.yaml"
            files[file] = None if deleted else parsed(with_identity(content), file, comments)
        mesh, _ = mesh.updated(store.apply(files))
        translation.update(mesh)
        fresh = Translation(Mesh.build(store.configs(), SETTINGS))
        for proxy in PROXIES:
            assert versions(translation, proxy) == versions(fresh, proxy)


def test_the_edits_reach_other_networks() -> None:
    """What is edited makes gateways stand in for workloads, so that the property says something."""
    entry = document(
        "WorkloadEntry",
        NETWORKING,
        "default",
        "a",
        spec={"address": "10.0.0.2", "labels": {"app": "reviews"}, "weight": 1},
    )
    store = ConfigStore()
    contents = [*STANDING, with_identity(entry)]
    store.apply({f"{number}.yaml": parsed(each, f"{number}.yaml") for number, each in enumerate(contents)})
    sent = mizzen.translate(Mesh.build(store.configs(), SETTINGS), PROXIES[0])
    addresses = {
        each.endpoint.address.socket_address.address
        for assignment in sent.endpoints
        for group in assignment.endpoints
        for each in group.lb_endpoints
    }
    assert {"192.0.2.2", "192.0.2.3"} <= addresses
