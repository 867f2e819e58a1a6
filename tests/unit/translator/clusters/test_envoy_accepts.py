"""A real Envoy reads every kind of cluster, load assignment, TLS context and secret: one start for all."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf import json_format

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import Server
from mizzen.demo.envoy_process import find_envoy
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.service import Endpoint, HealthStatus, Locality, Protocol, ServicePort
from mizzen.mesh.services.registry import ServiceInstance
from mizzen.translator.base.memo import Memo
from mizzen.translator.bootstrap import bootstrap
from mizzen.translator.clusters.inbound import inbound_clusters
from mizzen.translator.clusters.static import static_clusters
from mizzen.translator.tls.downstream import gateway_transport_socket, inbound_transport_socket
from mizzen.translator.tls.secret_references import SecretNames
from mizzen.translator.tls.secrets import secrets
from tests.unit.translator.clusters.cluster_scenes import Scene, endpoint, plain, secret_document, service
from tests.unit.translator.tls.certificates import certificate_pem, key_pem, make_key

NODE = {"id": "sidecar~10.0.0.7~a.default~default.svc.cluster.local"}

POLICIES = yaml.safe_load("""
- {}
- connectionPool:
    tcp:
      maxConnections: 5
      connectTimeout: 2s
      idleTimeout: 5s
      maxConnectionDuration: 9s
      tcpKeepalive: {probes: 9, time: 7200s, interval: 75s}
    http:
      http1MaxPendingRequests: 1
      http2MaxRequests: 2
      maxRetries: 3
      maxConcurrentStreams: 9
      maxRequestsPerConnection: 1
      h2UpgradePolicy: UPGRADE
      http2KeepAlive: {interval: 5s, timeout: 1s}
- {connectionPool: {http: {useClientProtocol: true, idleTimeout: 5s}}}
- {outlierDetection: {}, retryBudget: {percent: 12.5}}
- outlierDetection:
    consecutive5xxErrors: 7
    consecutiveGatewayErrors: 3
    interval: 5s
    baseEjectionTime: 60s
    maxEjectionPercent: 50
    minHealthPercent: 40
    splitExternalLocalOriginErrors: true
    consecutiveLocalOriginFailures: 4
- {outlierDetection: {outlierDetectionHttpErrorCodes: [429, 503]}}
- {outlierDetection: {outlierDetectionHttpErrorCodes: [429]}}
- {loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 10s}}}
- {loadBalancer: {simple: LEAST_REQUEST, warmup: {duration: 10s, aggression: 2.0, minimumPercent: 1.0}}}
- {loadBalancer: {simple: RANDOM}}
- {loadBalancer: {simple: PASSTHROUGH}}
- {loadBalancer: {consistentHash: {useSourceIp: true}}}
- {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65537}}}}
- {outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: eu, to: us}]}}}
- {loadBalancer: {localityLbSetting: {distribute: [{from: '*', to: {eu: 80, us: 20}}]}}}
- {loadBalancer: {zoneAwareLbSetting: {minClusterSize: 3}}}
- {loadBalancer: {zoneAwareLbSetting: {enabled: false}}}
- {tls: {mode: SIMPLE}}
- {tls: {mode: SIMPLE, sni: a.example, subjectAltNames: [b.example], insecureSkipVerify: true}}
- tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k, caCertificates: /r}
  proxyProtocol: {version: V2}
- {tls: {mode: MUTUAL, credentialName: shop, sni: a.example, subjectAltNames: [b.example]}}
- {tls: {mode: ISTIO_MUTUAL}}
- {proxyProtocol: {version: V1}}
""")

SERVER_TLS = yaml.safe_load("""
- {mode: SIMPLE, credentialName: shop}
- {mode: SIMPLE, credentialNames: [shop], minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_3}
- {mode: SIMPLE, serverCertificate: /c, privateKey: /k, cipherSuites: [ECDHE-RSA-AES256-GCM-SHA384]}
- {mode: MUTUAL, credentialName: shop, subjectAltNames: [a.example], insecureSkipVerify: true}
- {mode: OPTIONAL_MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /r}
- {mode: MUTUAL, tlsCertificates: [{serverCertificate: /c, privateKey: /k, caCertificates: /r}]}
- {mode: ISTIO_MUTUAL}
""")

MESHES = [
    "{}",
    "{inboundTrafficPolicy: {mode: LOCALHOST}, outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}}",
    "outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS, tls: {mode: SIMPLE}}",
    "outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS, tls: {mode: SIMPLE, sni: a.example}}",
]

RESOLUTIONS = ["STATIC", "NONE", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]
PROTOCOLS = ["HTTP", "HTTP2", "TCP", "UnsupportedProtocol"]
EUROPE, AMERICA = Locality("eu", "eu-1", "a"), Locality("us", "us-1")


def pool(resolution: str) -> list[Endpoint]:
    if "DNS" in resolution:
        return [endpoint("a.example", locality=EUROPE), endpoint("10.0.0.9", locality=AMERICA)]
    return [
        endpoint("10.0.0.1", tls_mode="istio", weight=2),
        endpoint("fd00::1", locality=EUROPE, health=HealthStatus.UNHEALTHY),
        endpoint("unix:///tmp/s", port=0, locality=AMERICA, tls_mode=""),
    ]


def outbound() -> list[dict[str, Any]]:
    """Clusters, and their load assignments wrapped into static clusters."""
    made: list[dict[str, Any]] = []
    for resolution, protocol, policy, auto in product(RESOLUTIONS, PROTOCOLS, POLICIES, ("false", "true")):
        own = service(
            resolution,
            hostname="*.wild.example" if resolution == "DYNAMIC_DNS" else "reviews.example",
            ports=(ServicePort("http", 80, Protocol(protocol), 8080),),
            subject_alt_names=("x.example",),
        )
        scene = Scene(own, pool(resolution)).meshed(f"enableAutoMtls: {auto}")
        scene = scene.ruled(json.dumps({"trafficPolicy": policy}))
        gateway = "credentialName" in policy.get("tls", {})
        scene = scene.seen_by(type="router" if gateway else "sidecar", locality=EUROPE)
        made.extend(scene.clusters().values())
        for name, assignment in scene.assignments().items():
            made.append({"name": name, "type": "STATIC", "load_assignment": assignment})
    return made


def own_clusters() -> list[dict[str, Any]]:
    port = ServicePort("http", 80, Protocol.HTTP)
    instance = ServiceInstance(service(ports=(port,)), port, 8080, endpoint("10.0.0.7"))
    made = []
    for text in MESHES:
        scene = Scene().meshed(text)
        inbound = inbound_clusters(Proxy.from_node(NODE), [instance], None, lambda _: None, scene.mesh)
        made.extend(plain(each) for each in (*static_clusters(scene.profile, scene.mesh), *inbound))
    return made


def listeners() -> list[dict[str, Any]]:
    mesh = MeshConfig()
    servers = [Server.model_validate({"tls": settings}) for settings in SERVER_TLS]
    sockets = [inbound_transport_socket(mesh)]
    sockets += [
        gateway_transport_socket(server, mesh, is_http=is_http)
        for server in servers
        for is_http in (True, False)
    ]
    return [
        {
            "name": f"listener {number}",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [
                {"transport_socket": json_format.MessageToDict(socket, preserving_proto_field_name=True)}
            ],
        }
        for number, socket in enumerate(sockets)
    ]


class SecretFiles:
    """Lets secrets come from files: before its static clusters are ready, Envoy has no stream."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        key = make_key()
        pair = {"tls.crt": certificate_pem(key), "tls.key": key_pem(key), "ca.crt": certificate_pem(key)}
        self.document = secret_document("shop", pair)
        for name, content in pair.items():
            (folder / name).write_bytes(content)

    def replace_streams(self, content: Any) -> None:
        if isinstance(content, list):
            for each in content:
                self.replace_streams(each)
        elif isinstance(content, dict):
            if set(content) == {"name", "sds_config"}:
                content["sds_config"] = {"path_config_source": {"path": str(self.answer(content["name"]))}}
            for each in content.values():
                self.replace_streams(each)

    def answer(self, name: str) -> Path:
        """A file with the answer to the question for one secret, whatever the name of the document."""
        file = self.folder / f"{sha256(name.encode()).hexdigest()}.json"
        if name.startswith("file-cert:"):
            asked = f"file-cert:{self.folder}/tls.crt~{self.folder}/tls.key"
        elif name.startswith("file-root:"):
            asked = f"file-root:{self.folder}/ca.crt"
        else:
            asked = "kubernetes://shop"
        roots = name.endswith(("-cacert", "ROOTCA"))
        names = SecretNames(roots=frozenset([asked])) if roots else SecretNames(frozenset([asked]))
        (resource,), _ = secrets(names, lambda _: self.document, Memo())
        secret = json_format.MessageToDict(Secret.FromString(resource.value)) | {"name": name}
        file.write_text(json.dumps({"resources": [{"@type": resource.type_url} | secret]}))
        return file


@pytest.mark.envoy
def test_a_real_envoy_takes_them_all(tmp_path: Path) -> None:
    configuration = bootstrap(node=NODE)
    found = outbound() + own_clusters()
    for number, cluster in enumerate(found):
        cluster["name"] = f"{number} {cluster['name']}"
        cluster.pop("alt_stat_name", None)
    configuration["static_resources"]["clusters"] += found
    configuration["static_resources"]["listeners"] = listeners()
    SecretFiles(tmp_path).replace_streams(configuration)
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps(configuration))

    ran = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", file, "-l", "error"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr[-3000:]
    assert len(found) > 1000
