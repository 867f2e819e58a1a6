"""The workloads and addresses of a demonstration, and the YAML that describes them to the control plane.

The shop's rules are files that people read and edit. Where its workloads run is known only when they start,
and is written to a private directory of the run: a WorkloadEntry for each workload, and a Sidecar with the
addresses on which its proxy listens, since without iptables nothing is captured (INTERCEPTION_MODE NONE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from mizzen.demo.loopback import LoopbackNetwork

NAMESPACE = "default"
DNS_DOMAIN = f"{NAMESPACE}.svc.cluster.local"

SERVICE_PORT = 9080
"""The port of each service of the shop; the proxies of its workloads listen on it too."""
OUTSIDE_PORT = 9090
"""The port of the host outside the mesh."""
APP_PORT = 9081
"""The port of the programs, behind their proxies."""
ADMIN_PORT = 15000
"""Envoy's admin interface, as with Istio."""
XDS_PORT = 15010
"""The control plane's gRPC, as istiod's."""
CONTROL_PLANE_ADMIN_PORT = 15014
"""The control plane's admin interface, as istiod's."""
GATEWAY_NAME = "istio-ingressgateway"
GATEWAY_PORT = 8080
"""The port of the Gateway in gateway.yaml."""

CONTROL_PLANE_HOST = 1
GATEWAY_HOST = 2
FIRST_WORKLOAD_HOST = 11
EGRESS_OFFSET = 100
"""Added to a workload's address: the address at which its proxy accepts its outgoing calls."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One program of the shop, and its addresses."""

    app: str
    version: str
    address: str
    egress_address: str
    in_mesh: bool = True

    @property
    def name(self) -> str:
        """The name, as a pod would have it."""
        return f"{self.app}-{self.version}"

    @property
    def service_account(self) -> str:
        """The service account: one for each app. A workload outside the mesh has none."""
        return f"bookinfo-{self.app}" if self.in_mesh else ""

    @property
    def labels(self) -> dict[str, str]:
        """The labels that selectors and subsets look at."""
        return {"app": self.app, "version": self.version}

    @property
    def app_endpoint(self) -> str:
        """Where the program itself listens."""
        return f"{self.address}:{APP_PORT}"

    @property
    def egress_endpoint(self) -> str:
        """Where its proxy accepts its calls to the other services of the shop."""
        return f"{self.egress_address}:{SERVICE_PORT}"

    @property
    def outside_endpoint(self) -> str:
        """Where its proxy accepts its calls to hosts outside the mesh."""
        return f"{self.egress_address}:{OUTSIDE_PORT}"


PROGRAMS = (
    ("productpage", "v1", True),
    ("details", "v1", True),
    ("reviews", "v1", True),
    ("reviews", "v2", True),
    ("reviews", "v3", True),
    ("ratings", "v1", True),
    ("quotes", "v1", False),
)
"""App, version, and whether it has a sidecar."""

HOSTS = (
    CONTROL_PLANE_HOST,
    GATEWAY_HOST,
    *(FIRST_WORKLOAD_HOST + index for index in range(len(PROGRAMS))),
    *(FIRST_WORKLOAD_HOST + EGRESS_OFFSET + index for index in range(len(PROGRAMS))),
)
"""The last parts of all addresses that a run uses."""

PORTS = (SERVICE_PORT, OUTSIDE_PORT, APP_PORT, ADMIN_PORT, XDS_PORT, CONTROL_PLANE_ADMIN_PORT)
"""The ports that a run uses, each on some of its addresses."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything about a run that is decided before it starts."""

    network: LoopbackNetwork
    gateway_port: int

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """The programs of the shop, including the one outside the mesh."""
        first = FIRST_WORKLOAD_HOST
        return tuple(
            Workload(
                app,
                version,
                self.network.address(first + index),
                self.network.address(first + EGRESS_OFFSET + index),
                in_mesh,
            )
            for index, (app, version, in_mesh) in enumerate(PROGRAMS)
        )

    @property
    def xds_address(self) -> str:
        """Where the control plane serves its proxies."""
        return f"{self.network.address(CONTROL_PLANE_HOST)}:{XDS_PORT}"

    @property
    def control_plane_admin(self) -> str:
        """The admin interface of the control plane."""
        return f"{self.network.address(CONTROL_PLANE_HOST)}:{CONTROL_PLANE_ADMIN_PORT}"

    @property
    def gateway_address(self) -> str:
        """The gateway's own address in the mesh; for clients outside it listens where gateway.yaml says."""
        return self.network.address(GATEWAY_HOST)

    @property
    def url(self) -> str:
        """Where a browser finds the shop."""
        return f"http://127.0.0.1:{self.gateway_port}"


def spiffe_id(workload: Workload) -> str:
    """Return the identity in a workload's certificate."""
    return f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{workload.service_account}"


def sidecar_node(workload: Workload) -> dict[str, Any]:
    """Return the Envoy Node of a workload's sidecar."""
    return {
        "id": f"sidecar~{workload.address}~{workload.name}.{NAMESPACE}~{DNS_DOMAIN}",
        "cluster": f"{workload.app}.{NAMESPACE}",
        "metadata": {
            "NAMESPACE": NAMESPACE,
            "SERVICE_ACCOUNT": workload.service_account,
            "LABELS": workload.labels,
            "INTERCEPTION_MODE": "NONE",
        },
    }


def gateway_node(topology: Topology) -> dict[str, Any]:
    """Return the Envoy Node of the ingress gateway."""
    return {
        "id": f"router~{topology.gateway_address}~{GATEWAY_NAME}.{NAMESPACE}~{DNS_DOMAIN}",
        "cluster": f"{GATEWAY_NAME}.{NAMESPACE}",
        "metadata": {
            "NAMESPACE": NAMESPACE,
            "SERVICE_ACCOUNT": GATEWAY_NAME,
            "LABELS": {"istio": "ingressgateway"},
        },
    }


def instance_yaml(topology: Topology) -> str:
    """Return the YAML of the shop's addresses: a WorkloadEntry and a Sidecar for
    each workload, and the gateway."""
    documents = [_gateway_service(topology), _gateway_workload(topology)]
    for workload in topology.workloads:
        documents.append(_workload_entry(workload))
        if workload.in_mesh:
            documents.append(_sidecar(workload))
    return yaml.safe_dump_all(documents, sort_keys=False)


def _gateway_service(topology: Topology) -> dict[str, Any]:
    # A Gateway listens on the target port that a Service of its workload gives to its port.
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": GATEWAY_NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "ports": [{"name": "http", "port": GATEWAY_PORT, "targetPort": topology.gateway_port}],
        },
    }


def _gateway_workload(topology: Topology) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": GATEWAY_NAME, "namespace": NAMESPACE},
        "spec": {"address": topology.gateway_address, "labels": {"istio": "ingressgateway"}},
    }


def _workload_entry(workload: Workload) -> dict[str, Any]:
    spec: dict[str, Any] = {"address": workload.address, "labels": workload.labels}
    if workload.in_mesh:
        # The service account tells the other proxies that this one speaks mutual TLS.
        spec["serviceAccount"] = workload.service_account
    else:
        spec["ports"] = {"http": APP_PORT}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": workload.name, "namespace": NAMESPACE},
        "spec": spec,
    }


def _sidecar(workload: Workload) -> dict[str, Any]:
    def egress(port: int, name: str) -> dict[str, Any]:
        return {
            "port": {"number": port, "protocol": "HTTP", "name": name},
            "bind": workload.egress_address,
            "captureMode": "NONE",
            "hosts": ["./*"],
        }

    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": workload.name, "namespace": NAMESPACE},
        "spec": {
            "workloadSelector": {"labels": workload.labels},
            "ingress": [
                {
                    "port": {"number": SERVICE_PORT, "protocol": "HTTP", "name": "http"},
                    "bind": workload.address,
                    # 0.0.0.0 means the proxy's own address, where the program listens too.
                    "defaultEndpoint": f"0.0.0.0:{APP_PORT}",
                }
            ],
            "egress": [egress(SERVICE_PORT, "http"), egress(OUTSIDE_PORT, "http-outside")],
            "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        },
    }
