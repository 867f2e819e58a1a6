"""Which network an endpoint is on, and endpoints that clients of other networks leave out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.mesh_networks import MeshNetworks
from mizzen.mesh.analysis import analyze
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]

NETWORKS = MeshNetworks.model_validate(
    {
        "networks": {
            "east": {"endpoints": [{"fromCidr": "10.1.0.0/16"}]},
            "west": {
                "endpoints": [{"fromCidr": "10.2.0.0/16"}],
                "gateways": [{"address": "192.0.2.1", "port": 15443}],
            },
        }
    }
)


def networks(mesh: Mesh, host: str) -> list[tuple[str, str, str]]:
    """Address, network and the label of the network of each endpoint."""
    service = mesh.registry.services[("default", host)]
    return [
        (each.address, each.network, dict(each.labels).get("topology.istio.io/network", ""))
        for each in mesh.endpoints(service)
    ]


def test_what_is_written_down_goes_before_the_block_of_the_address(mesh_of: MeshOf) -> None:
    mesh = mesh_of(
        """
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
  endpoints:
  - {address: 10.1.0.1, network: other}
  - {address: 10.1.0.2, labels: {topology.istio.io/network: labelled}}
  - {address: 10.2.0.3}
  - {address: 10.9.0.4}
  - {address: name.example.com}
""",
        mesh_networks=NETWORKS,
    )
    assert networks(mesh, "a.com") == [
        ("10.1.0.1", "other", "other"),
        ("10.1.0.2", "labelled", "labelled"),
        ("10.2.0.3", "west", "west"),
        ("10.9.0.4", "", ""),
        ("name.example.com", "", ""),
    ]


SELECTED = """
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  location: MESH_INTERNAL
  workloadSelector: {labels: {app: a}}
---
kind: WorkloadEntry
metadata: {name: a-1}
spec: {address: 10.2.0.1, labels: {app: a}}
"""


def test_of_a_workload_and_of_one_known_by_its_network_alone(mesh_of: MeshOf) -> None:
    nowhere = "---\nkind: WorkloadEntry\nmetadata: {name: a-2}\nspec: {network: west, labels: {app: a}}\n"
    mesh = mesh_of(SELECTED + nowhere, mesh_networks=NETWORKS)
    assert networks(mesh, "a.com") == [("10.2.0.1", "west", "west"), ("", "west", "west")]


def test_of_kubernetes(mesh_of: MeshOf) -> None:
    mesh = mesh_of(
        """
kind: Service
metadata: {name: k}
spec: {selector: {app: k}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
kind: EndpointSlice
metadata: {name: k-1, labels: {kubernetes.io/service-name: k}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.2.0.1]}, {addresses: [10.1.0.2]}]
---
kind: Pod
metadata: {name: k-2, labels: {app: k, topology.istio.io/network: labelled}}
status: {podIP: 10.1.0.2}
---
kind: Service
metadata: {name: p}
spec: {selector: {app: p}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
kind: Pod
metadata: {name: p-1, labels: {app: p}}
status: {podIP: 10.1.0.3}
""",
        mesh_networks=NETWORKS,
    )
    assert networks(mesh, "k.default.svc.cluster.local") == [
        ("10.2.0.1", "west", "west"),
        ("10.1.0.2", "labelled", "labelled"),
    ]
    assert networks(mesh, "p.default.svc.cluster.local") == [("10.1.0.3", "east", "east")]


@pytest.mark.parametrize(
    ("entry", "rule", "settings", "words"),
    [
        ("", "", {}, "do not say that they speak it"),
        ("serviceAccount: a", "", {}, "are called in plain text"),
        ("serviceAccount: a", "", {"enable_auto_mtls": True}, ""),
        ("", "", {"enable_auto_mtls": True}, "do not say that they speak it"),
        ("serviceAccount: a", "{host: a.com, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}", {}, ""),
        ("serviceAccount: a", "{host: '*.com', trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}", {}, ""),
        (
            "serviceAccount: a",
            "{host: a.com, subsets: [{name: s, trafficPolicy: {portLevelSettings: "
            "[{port: {number: 80}, tls: {mode: ISTIO_MUTUAL}}]}}]}",
            {},
            "",
        ),
        (
            "serviceAccount: a",
            "{host: b.com, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}",
            {},
            "are called in plain text",
        ),
        ("network: east", "", {}, ""),
        ("network: nowhere", "", {}, ""),
    ],
)
def test_endpoints_that_nobody_of_another_network_calls(
    mesh_of: MeshOf, entry: str, rule: str, settings: dict[str, bool], words: str
) -> None:
    text = SELECTED.replace("{address: 10.2.0.1,", "{address: 10.2.0.1, " + (f"{entry}, " if entry else ""))
    if rule:
        text += f"---\nkind: DestinationRule\nmetadata: {{name: r}}\nspec: {rule}\n"
    found = [
        one for one in analyze(mesh_of(text, mesh_networks=NETWORKS, **settings)) if one.code == "MZ0214"
    ]
    if not words:
        assert not found
        return
    (diagnostic,) = found
    assert (diagnostic.origin.file, diagnostic.origin.line) == ("mesh.yaml", 11)
    assert "1 endpoint(s) of a.com are behind the gateways of network west" in diagnostic.message
    assert words in diagnostic.message


def test_endpoints_that_nothing_leads_to(mesh_of: MeshOf) -> None:
    mesh = mesh_of(SELECTED.replace("address: 10.2.0.1", "network: north"))
    (diagnostic,) = [one for one in analyze(mesh) if one.code == "MZ0214"]
    assert "have no address, and no gateway leads to their network north" in diagnostic.message


@pytest.mark.parametrize(("network", "warned"), [("north", True), ("east", True), ("west", False)])
def test_a_service_that_istio_takes_for_a_gateway(mesh_of: MeshOf, network: str, warned: bool) -> None:
    mesh = mesh_of(
        f"""
kind: Service
metadata:
  name: eastwestgateway
  labels: {{topology.istio.io/network: {network}}}
spec: {{selector: {{app: gateway}}, ports: [{{name: tls, port: 15443}}]}}
""",
        mesh_networks=NETWORKS,
    )
    found = [one for one in analyze(mesh) if one.code == "MZ0214"]
    assert len(found) == warned
    for diagnostic in found:
        assert diagnostic.origin.line == 5
        assert f"meshNetworks.networks.{network}.gateways" in diagnostic.message


def test_automatic_mutual_tls_is_for_services_of_the_mesh(mesh_of: MeshOf) -> None:
    text = SELECTED.replace("location: MESH_INTERNAL", "location: MESH_EXTERNAL").replace(
        "{address: 10.2.0.1,", "{address: 10.2.0.1, serviceAccount: a,"
    )
    mesh = mesh_of(text, mesh_networks=NETWORKS, enable_auto_mtls=True)
    (diagnostic,) = [one for one in analyze(mesh) if one.code == "MZ0214"]
    assert "are called in plain text" in diagnostic.message
