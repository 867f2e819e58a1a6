"""A proxy that has accepted everything, and still does not do what its owner expects."""

from __future__ import annotations

from mizzen import xds
from mizzen.config import parse_documents, to_config
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.server.proxy_warnings import (
    gateway_warnings,
    same_address_warnings,
    same_node_warnings,
    service_account_warning,
)

GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
"""


def mesh(text: str) -> Mesh:
    parsed = parse_documents(text.encode(), "mesh.yaml")
    configs = [config for config, _ in map(to_config, parsed.documents) if config is not None]
    return Mesh.build(configs, MeshConfig())


def proxy(kind: str, **labels: str) -> Proxy:
    node_id = f"{kind}~10.0.0.9~edge.default~default.svc.cluster.local"
    return Proxy.from_node({"id": node_id, "metadata": {"LABELS": labels}})


def test_a_gateway_whose_labels_no_gateway_selects() -> None:
    (warning,) = gateway_warnings(mesh(GATEWAY), proxy("router", istio="ingresgateway"))
    assert "listens nowhere; its labels are: istio=ingresgateway;" in warning
    assert "istio=ingressgateway (mesh.yaml:5)" in warning


def test_a_gateway_before_there_is_any() -> None:
    (warning,) = gateway_warnings(mesh(""), proxy("router"))
    assert "its labels are: none; there is no Gateway yet" in warning


def test_what_is_selected_or_no_gateway_is_fine() -> None:
    assert gateway_warnings(mesh(GATEWAY), proxy("router", istio="ingressgateway", app="x")) == ()
    assert gateway_warnings(mesh(""), proxy("sidecar")) == ()


WORKLOAD = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.0.0.9, labels: {app: shop}, serviceAccount: ACCOUNT}
"""


def account_warning(declared: str, account: str, kind: str = "sidecar") -> str:
    node_id = f"{kind}~10.0.0.9~shop-1.default~default.svc.cluster.local"
    own = Proxy.from_node({"id": node_id, "metadata": {"SERVICE_ACCOUNT": account}})
    return service_account_warning(mesh(WORKLOAD.replace("ACCOUNT", declared)), own)


def test_a_sidecar_with_a_different_service_account_than_its_workload() -> None:
    warning = account_warning("shop", "")
    assert warning.startswith(
        "clients refuse its certificate: it is spiffe://cluster.local/ns/default/sa/default, and its "
        "workload is spiffe://cluster.local/ns/default/sa/shop (mesh.yaml:6); "
    )


def test_a_sidecar_with_the_service_account_of_its_workload_or_with_nothing_to_compare() -> None:
    assert account_warning("shop", "shop") == ""
    assert account_warning('""', "") == ""
    assert account_warning("shop", "", kind="router") == ""


def client(number: int, node_id: str, method: str) -> xds.ClientStatus:
    return xds.ClientStatus(number, node_id, node_id, f"10.0.0.{number}:5", method, 0.0, "rest")


def test_two_envoys_of_one_name() -> None:
    aggregated = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
    warnings = same_node_warnings(
        [client(1, "a", aggregated), client(2, "a", aggregated), client(3, "b", aggregated)]
    )
    assert list(warnings) == ["a"]
    (warning,) = warnings["a"]
    assert warning.startswith("2 Envoys are connected under this node id, from 10.0.0.1:5, 10.0.0.2:5; ")


def test_one_envoy_may_have_a_stream_for_each_type() -> None:
    streams = [
        client(number, "a", f"/envoy.service.{kind}/Delta{kind}") for number, kind in ((1, "C"), (2, "L"))
    ]
    assert same_node_warnings(streams) == {}


def listeners(*names: str) -> xds.Snapshot:
    return xds.Snapshot.of(xds.Resource(xds.type_urls.LISTENER, name, b"x", "1") for name in names)


def uncaptured(name: str, mode: str = "NONE") -> Proxy:
    node_id = f"sidecar~10.0.0.9~{name}.default~default.svc.cluster.local"
    return Proxy.from_node({"id": node_id, "metadata": {"INTERCEPTION_MODE": mode}})


def warnings_of(
    listening: dict[str, tuple[str, ...]], *, mode: str = "NONE", hosts: tuple[str, ...] = ("10.0.0.1",) * 3
) -> dict[str, tuple[str, ...]]:
    method = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
    clients = [
        xds.ClientStatus(number, name, name, f"{hosts[number]}:{number + 5}", method, 0.0, "rest")
        for number, name in enumerate(listening)
    ]
    return same_address_warnings(
        clients, lambda key: uncaptured(str(key), mode), lambda key: listeners(*listening[str(key)])
    )


def test_two_sidecars_of_one_host_that_listen_at_one_address() -> None:
    warnings = warnings_of(
        {
            "a": ("127.0.0.1_9080", "127.0.0.1_80", "10.0.0.1_80"),
            "b": ("127.0.0.1_9080", "127.0.0.1_80"),
            "c": ("127.0.0.3_9080",),
        }
    )
    assert list(warnings) == ["a", "b"]
    (warning,) = warnings["a"]
    assert warning.startswith(
        "listens at 127.0.0.1:80, 127.0.0.1:9080: b listens there too, on the same host"
    )
    assert "10.0.0.1" in warning


def test_sidecars_of_two_hosts_or_that_bind_nothing_may_listen_at_one_address() -> None:
    same = {"a": ("127.0.0.1_9080",), "b": ("127.0.0.1_9080",)}
    assert warnings_of(same, hosts=("10.0.0.1", "10.0.0.2")) == {}
    assert warnings_of(same, mode="REDIRECT") == {}
