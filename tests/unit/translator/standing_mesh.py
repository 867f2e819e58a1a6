"""A mesh that has a bit of everything, and proxies that differ in one thing each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.rules.security_policies import POLICY_KINDS
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation

NETWORKING = "networking.istio.io/v1"


def document(kind: str, name: str, spec: Any, *, namespace: str = "default", **metadata: Any) -> Any:
    security = "security.istio.io/v1" if kind in {each.kind for each in POLICY_KINDS} else NETWORKING
    version = "v1" if kind in ("Service", "Pod") else security
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }


def entry(host: str, port: int, protocol: str, *, namespace: str = "default", **spec: Any) -> Any:
    spec = {"resolution": "STATIC", "location": "MESH_INTERNAL", "hosts": [host], **spec}
    spec["ports"] = [{"number": port, "name": "p", "protocol": protocol}]
    return document("ServiceEntry", host.replace("*", "any"), spec, namespace=namespace)


def at(*addresses: str, **more: Any) -> list[Any]:
    return [{"address": address, **more} for address in addresses]


def to(host: str, **more: Any) -> Any:
    return [{"destination": {"host": host, **more}}]


def rule(name: str, hosts: list[str], *, namespace: str = "default", **spec: Any) -> Any:
    return document("VirtualService", name, {"hosts": hosts, **spec}, namespace=namespace)


EU_V1 = {"locality": "eu/eu-1/a", "labels": {"version": "v1", "rack": "r1"}, "network": "east"}
US_V2 = {"locality": "us/us-1/a", "labels": {"version": "v2", "rack": "r2"}, "network": "west"}

STANDING = [
    entry("web.example", 80, "HTTP", endpoints=[*at("10.0.1.1", **EU_V1), *at("10.0.1.2", **US_V2)]),
    entry("api.example", 80, "GRPC", workloadSelector={"labels": {"app": "api"}}),
    document("WorkloadEntry", "api-1", {"address": "10.0.2.1", "labels": {"app": "api"}}),
    entry("db.example", 3306, "TCP", addresses=["10.1.0.1"], endpoints=at("10.0.3.1", serviceAccount="db")),
    entry("blocks.example", 3306, "TCP", addresses=["10.2.0.0/16"], resolution="NONE"),
    entry("secure.example", 443, "TLS", endpoints=at("10.0.4.1")),
    entry("any.example", 9000, "", addresses=["10.1.0.9"], endpoints=at("10.0.5.1")),
    entry("allocated.example", 9000, "", endpoints=at("10.0.5.2")),
    entry("dns.example", 80, "HTTP", resolution="DNS", endpoints=[*at("d1.example", **EU_V1)]),
    entry("*.wild.example", 80, "HTTP", resolution="DYNAMIC_DNS", location="MESH_EXTERNAL"),
    entry("far.example", 80, "HTTP", namespace="shop", endpoints=at("10.0.6.1")),
    entry("twice.example", 80, "HTTP", endpoints=at("10.0.10.1")),
    entry("twice.example", 80, "HTTP2", namespace="shop", endpoints=at("10.0.10.2")),
    entry("twice-tcp.example", 8127, "TCP", addresses=["10.1.0.27"], endpoints=at("10.0.11.1")),
    entry(
        "twice-tcp.example", 8127, "TCP", namespace="shop", addresses=["10.1.0.28"], endpoints=at("10.0.11.2")
    ),
    entry("own.example", 8130, "HTTP", exportTo=["."], endpoints=at("10.0.13.1")),
    entry("own.example", 8131, "HTTP", namespace="shop", exportTo=["."], endpoints=at("10.0.13.2")),
    entry("lonely.example", 8124, "HTTP", endpoints=at("10.0.7.1")),
    document(
        "ServiceEntry",
        "mixed",
        {
            "hosts": ["mixed.example"],
            "resolution": "STATIC",
            "location": "MESH_INTERNAL",
            "ports": [
                {"number": 80, "name": "http", "protocol": "HTTP"},
                {"number": 8125, "name": "tcp", "protocol": "TCP"},
            ],
            "endpoints": at("10.0.8.1"),
        },
    ),
    document(
        "Service",
        "kube",
        {"clusterIP": "10.1.1.1", "selector": {"app": "kube"}, "ports": [{"name": "http", "port": 80}]},
        namespace="shop",
    ),
    document(
        "Service",
        "heads",
        {"clusterIP": "None", "selector": {"app": "heads"}, "ports": [{"name": "tcp", "port": 8132}]},
    ),
    document("WorkloadEntry", "heads-1", {"address": "10.0.14.1", "labels": {"app": "heads"}}),
    rule("web", ["web.example"], http=[{"route": to("web.example", subset="v1"), "timeout": "3s"}]),
    rule(
        "root",
        ["api.example"],
        gateways=["mesh", "edge"],
        http=[
            {"match": [{"uri": {"prefix": "/x"}}], "delegate": {"name": "leaf", "namespace": "shop"}},
            {"match": [{"uri": {"prefix": "/own"}}], "route": to("own.example")},
            {"match": [{"sourceLabels": {"app": "client"}}], "route": to("web.example")},
            {"route": to("api.example")},
        ],
    ),
    document("VirtualService", "leaf", {"http": [{"route": to("far.example")}]}, namespace="shop"),
    rule("db", ["db.example"], tcp=[{"route": to("db.example")}]),
    rule(
        "secure",
        ["secure.example"],
        tls=[{"match": [{"sniHosts": ["secure.example"]}], "route": to("secure.example")}],
    ),
    document(
        "DestinationRule",
        "web",
        {
            "host": "web.example",
            "trafficPolicy": {
                "outlierDetection": {"consecutive5xxErrors": 3},
                "loadBalancer": {"localityLbSetting": {"failoverPriority": ["rack"]}},
            },
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
        },
    ),
    document("DestinationRule", "dns", {"host": "dns.example", "trafficPolicy": {"outlierDetection": {}}}),
    document(
        "Sidecar",
        "shop",
        {"egress": [{"hosts": ["./*", "default/web.example"]}]},
        namespace="shop",
    ),
    *(
        document(
            "Sidecar",
            "out",
            {
                "egress": [
                    {"port": {"number": 80, "name": "h", "protocol": "HTTP"}, "hosts": ["*/*"]},
                    {"hosts": ["*/*"]},
                ],
                "outboundTrafficPolicy": {
                    "mode": "ALLOW_ANY",
                    "egressProxy": {"host": proxy, "port": {"number": 80}},
                },
            },
            namespace=namespace,
        )
        for namespace, proxy in (("one", "web.example"), ("two", "api.example"))
    ),
    document(
        "Sidecar",
        "closed",
        {"egress": [{"hosts": ["*/*"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
        namespace="closed",
    ),
    document(
        "Gateway",
        "edge",
        {
            "selector": {"istio": "edge"},
            "servers": [
                {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
                {
                    "port": {"number": 15443, "name": "pass", "protocol": "TLS"},
                    "tls": {"mode": "AUTO_PASSTHROUGH"},
                    "hosts": ["*.example"],
                },
                {
                    "port": {"number": 15443, "name": "https", "protocol": "HTTPS"},
                    "tls": {"mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"},
                    "hosts": ["api.example"],
                },
            ],
        },
    ),
]
"""What there is before a change."""

MESH_CONFIG = {
    "enableAutoMtls": True,
    "meshNetworks": {"networks": {"west": {"gateways": [{"address": "192.0.2.1", "port": 15443}]}}},
}


def node(kind: str = "sidecar", namespace: str = "default", locality: Any = None, **metadata: Any) -> Any:
    address = metadata.pop("address", "10.9.9.9")
    labels = metadata.pop("labels", {"app": "client"} if kind == "sidecar" else {"istio": "edge"})
    return mizzen.Proxy.from_node(
        {
            "id": f"{kind}~{address}~a.{namespace}~{namespace}.svc.cluster.local",
            "metadata": {"NAMESPACE": namespace, "LABELS": labels, **metadata},
            "locality": locality or {},
        }
    )


EU, US = ({"region": r, "zone": f"{r}-1", "sub_zone": "a"} for r in ("eu", "us"))
ROUTE_HEADERS = {"proxyHeaders": {"attemptCount": {"disabled": True}, "xForwardedHost": {"enabled": True}}}

PROXIES = [
    node(),
    node(labels={"app": "other"}),
    node(labels={"app": "client", "rack": "r1"}),
    node(labels={"app": "client", "rack": "r2"}),
    node(address="10.0.1.1"),
    node(address="10.0.2.1"),
    node(namespace="shop"),
    node(namespace="one"),
    node(namespace="two"),
    node("sidecar", "closed"),
    node(locality=EU),
    node(locality=US),
    node(locality=US, NETWORK="east"),
    node(NETWORK="west"),
    node(CLUSTER_ID="c1"),
    node(REQUESTED_NETWORK_VIEW="west"),
    node(address="fd00::9"),
    node(INSTANCE_IPS="10.9.9.9,fd00::9"),
    node(INSTANCE_IPS="10.9.9.9,fd00::9", PROXY_CONFIG={"proxyMetadata": {"ISTIO_DUAL_STACK": "true"}}),
    node(INTERCEPTION_MODE="NONE"),
    node(INTERCEPTION_MODE="TPROXY"),
    node(DNS_CAPTURE="true"),
    node(HTTP_PROXY_PORT="15080"),
    node(IDLE_TIMEOUT="30s"),
    node(HTTP10="1"),
    node(TLS_CLIENT_CERT_CHAIN="/c", TLS_CLIENT_KEY="/k", TLS_CLIENT_ROOT_CERT="/r"),
    node(OUTBOUND_LISTENER_EXACT_BALANCE="true"),
    node(PROXY_CONFIG={"proxyHeaders": {"server": {"value": "x"}}}),
    node(PROXY_CONFIG=ROUTE_HEADERS),
    node("router"),
    node("router", "shop"),
    node("router", labels={"istio": "none"}),
    node("router", HTTP10="1"),
    node("router", IDLE_TIMEOUT="30s"),
    node("router", locality=EU, NETWORK="east"),
    node("router", address="fd00::9"),
    node("router", PROXY_CONFIG={"gatewayTopology": {"numTrustedProxies": 2}}),
    node("router", PROXY_CONFIG=ROUTE_HEADERS),
]
"""Proxies that differ in one thing each."""

FOLLOWING = [PROXIES[number] for number in (0, 2, 5, 6, 7, 19, 22, 29)]
"""Those that see different parts of a change."""


def standing_store() -> ConfigStore:
    store = ConfigStore()
    store.apply({f"{name}.yaml": content for name, content in standing_files().items()})
    wrong = [str(each) for each in store.diagnostics() if each.code != "IST0134"]
    assert not wrong
    return store


@cache
def standing_files() -> dict[str, Any]:
    return files(STANDING)


def files(documents: list[Any]) -> dict[str, Any]:
    found = {}
    for content in documents:
        metadata = content["metadata"]
        name = f"{content['kind']}-{metadata['namespace']}-{metadata['name']}"
        parsed = parse_documents(yaml.dump(content, Dumper=yaml.CSafeDumper).encode(), f"{name}.yaml")
        assert not parsed.diagnostics, [str(each) for each in parsed.diagnostics]
        found[name] = parsed
    return found


def versions(translation: Translation, proxy: mizzen.Proxy) -> Mapping[str, Mapping[str, str]]:
    resources = translation.resources(proxy)
    return {kind: {name: r.version for name, r in held.items()} for kind, held in resources.items()}


def alone(mesh: Mesh, proxy: mizzen.Proxy) -> Mapping[str, Mapping[str, str]]:
    return versions(Translation(mesh), proxy)
