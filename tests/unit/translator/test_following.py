"""One translation for all proxies and all times: each proxy is sent what it would be sent alone, and after a
change what it would be sent had the mesh always been so."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import yaml

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.config.mesh_config import MeshConfig
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
        parsed = parse_documents(yaml.safe_dump(content).encode(), f"{name}.yaml")
        assert not parsed.diagnostics, [str(each) for each in parsed.diagnostics]
        found[name] = parsed
    return found


def versions(translation: Translation, proxy: mizzen.Proxy) -> Mapping[str, Mapping[str, str]]:
    resources = translation.resources(proxy)
    return {kind: {name: r.version for name, r in held.items()} for kind, held in resources.items()}


def alone(mesh: Mesh, proxy: mizzen.Proxy) -> Mapping[str, Mapping[str, str]]:
    return versions(Translation(mesh), proxy)


@pytest.mark.parametrize("again", [False, True], ids=["in order", "in reverse"])
def test_each_proxy_is_sent_what_it_would_be_sent_alone(again: bool) -> None:
    mesh = Mesh.build(standing_store().configs(), MeshConfig.model_validate(MESH_CONFIG))
    shared = Translation(mesh)
    order = list(reversed(PROXIES)) if again else PROXIES
    found = [versions(shared, proxy) for proxy in order]
    for proxy, held in zip(order, found, strict=True):
        assert held == alone(mesh, proxy), proxy.node_id


def without(kind: str, name: str, namespace: str = "default") -> str:
    return f"{kind}-{namespace}-{name}"


def changed(kind: str, name: str, namespace: str = "default", **spec: Any) -> Any:
    """A standing document with other values in its spec."""
    for content in STANDING:
        metadata = content["metadata"]
        if (content["kind"], metadata["name"], metadata["namespace"]) == (kind, name, namespace):
            return {**content, "spec": {**content["spec"], **spec}}
    raise AssertionError(name)


CHANGES: dict[str, list[Any]] = {
    "an endpoint comes": [changed("ServiceEntry", "web.example", endpoints=at("10.0.1.1", "10.0.1.9"))],
    "all endpoints go": [changed("ServiceEntry", "web.example", endpoints=[])],
    "an endpoint of a name comes": [
        changed("ServiceEntry", "dns.example", endpoints=at("x.example", "y.example"))
    ],
    "names lose their endpoints": [
        entry("dns.example", 80, "HTTP", resolution="DNS", workloadSelector={"labels": {"app": "none"}})
    ],
    "an account changes": [
        changed("ServiceEntry", "db.example", endpoints=at("10.0.3.1", serviceAccount="x"))
    ],
    "a workload comes": [
        document("WorkloadEntry", "api-2", {"address": "10.0.2.2", "labels": {"app": "api"}})
    ],
    "a workload of a headless service comes": [
        document("WorkloadEntry", "heads-2", {"address": "10.0.14.2", "labels": {"app": "heads"}})
    ],
    "a workload of a headless service moves": [
        document("WorkloadEntry", "heads-1", {"address": "10.0.14.3", "labels": {"app": "heads"}})
    ],
    "a workload goes": [without("WorkloadEntry", "api-1")],
    "a workload is another's": [
        document("WorkloadEntry", "api-1", {"address": "10.0.2.1", "labels": {"app": "none"}})
    ],
    "a service comes": [entry("new.example", 80, "HTTP", endpoints=at("10.0.9.1"))],
    "a service on a new port comes": [entry("new.example", 8123, "HTTP", endpoints=at("10.0.9.1"))],
    "a service goes": [without("ServiceEntry", "web.example")],
    "the only HTTP service of a port goes": [without("ServiceEntry", "lonely.example")],
    "the only HTTP service of a port has another port": [
        entry("lonely.example", 8126, "HTTP", endpoints=at("10.0.7.1"))
    ],
    "the last of a port goes": [without("ServiceEntry", "secure.example")],
    "a service of the Sidecar's namespace comes": [entry("new.example", 80, "HTTP", namespace="shop")],
    "a service of two namespaces": [entry("web.example", 80, "HTTP2", namespace="shop", endpoints=[])],
    "a service leaves for another namespace": [
        without("ServiceEntry", "far.example", "shop"),
        entry("far.example", 80, "HTTP", endpoints=at("10.0.6.1")),
    ],
    **{
        f"of {host} in two namespaces {what}": change
        for host, number, protocol in (("twice.example", 80, "HTTP"), ("twice-tcp.example", 8127, "TCP"))
        for what, change in {
            "that of the first has other endpoints": [
                changed("ServiceEntry", host, endpoints=at("10.0.12.1"))
            ],
            "that of the second has other endpoints": [
                changed("ServiceEntry", host, "shop", endpoints=at("10.0.12.1"))
            ],
            "that of the first has other names": [changed("ServiceEntry", host, subjectAltNames=["x"])],
            "that of the second has other names": [
                changed("ServiceEntry", host, "shop", subjectAltNames=["x"])
            ],
            "that of the second has another port": [
                entry(host, 8128, protocol, namespace="shop", endpoints=at("10.0.12.1"))
            ],
            "that of the first goes": [without("ServiceEntry", host)],
            "that of the second goes": [without("ServiceEntry", host, "shop")],
            "that of the first is hidden": [changed("ServiceEntry", host, exportTo=["one"])],
            "that of the second is the older": [
                {
                    **changed("ServiceEntry", host, "shop"),
                    "metadata": {
                        "name": host,
                        "namespace": "shop",
                        "creationTimestamp": "1969-01-01T00:00:00Z",
                    },
                }
            ],
            "both go": [without("ServiceEntry", host), without("ServiceEntry", host, "shop")],
            "a rule of the second comes": [
                document(
                    "DestinationRule",
                    "twice",
                    {
                        "host": host,
                        "trafficPolicy": {
                            "connectionPool": {"tcp": {"idleTimeout": "6s", "maxConnections": 6}}
                        },
                    },
                    namespace="shop",
                )
            ],
        }.items()
    },
    "of two namespaces the shown one goes": [
        without("ServiceEntry", "web.example"),
        entry("web.example", 80, "HTTP2", namespace="shop", endpoints=at("10.0.1.3")),
    ],
    "a service of two namespaces, one external": [
        changed("ServiceEntry", "web.example", location="MESH_EXTERNAL"),
        entry("web.example", 80, "HTTP2", namespace="shop", endpoints=at("10.0.1.3")),
    ],
    "a service is hidden": [changed("ServiceEntry", "web.example", exportTo=["."])],
    "a port changes its protocol": [
        changed("ServiceEntry", "web.example", ports=[{"number": 80, "name": "p", "protocol": "TCP"}])
    ],
    "a detected port becomes HTTP": [
        changed("ServiceEntry", "any.example", ports=[{"number": 9000, "name": "p", "protocol": "HTTP"}])
    ],
    "an address changes": [changed("ServiceEntry", "db.example", addresses=["10.1.0.2"])],
    "an address goes": [changed("ServiceEntry", "any.example", addresses=[])],
    "a resolution changes": [changed("ServiceEntry", "web.example", resolution="DNS")],
    "a service becomes external": [changed("ServiceEntry", "db.example", location="MESH_EXTERNAL")],
    "a forward proxy goes": [without("ServiceEntry", "*.wild.example".replace("*", "any"))],
    "an alternative name becomes a real one": [entry("kube.shop", 80, "HTTP", endpoints=at("10.0.9.1"))],
    "a rule changes": [
        changed("VirtualService", "web", http=[{"route": to("web.example"), "timeout": "4s"}])
    ],
    "a rule goes": [without("VirtualService", "web")],
    "a rule comes": [rule("new", ["dns.example"], http=[{"route": to("web.example")}])],
    "a rule comes before another": [rule("aaa", ["web.example"], http=[{"route": to("api.example")}])],
    "a rule has other hosts": [changed("VirtualService", "web", hosts=["web.example", "dns.example"])],
    "a rule of a wildcard comes": [rule("wide", ["*.example"], http=[{"route": to("api.example")}])],
    "a rule for other labels": [
        changed(
            "VirtualService",
            "web",
            http=[{"match": [{"sourceLabels": {"rack": "r1"}}], "route": to("api.example")}],
        )
    ],
    "a rule is hidden": [changed("VirtualService", "web", exportTo=["shop"])],
    "a rule leaves the gateway": [changed("VirtualService", "root", gateways=["mesh"])],
    "a rule leads to what the Sidecar did not import": [
        changed("VirtualService", "web", http=[{"route": to("api.example")}])
    ],
    "a delegate changes": [
        document("VirtualService", "leaf", {"http": [{"route": to("web.example")}]}, namespace="shop")
    ],
    "a delegate goes": [without("VirtualService", "leaf", "shop")],
    "a TCP rule changes": [changed("VirtualService", "db", tcp=[{"route": to("blocks.example")}])],
    "a TLS rule goes": [without("VirtualService", "secure")],
    "a destination rule changes": [changed("DestinationRule", "web", trafficPolicy={"tls": {}})],
    "a subset comes": [
        changed("DestinationRule", "web", subsets=[{"name": "v2", "labels": {"version": "v2"}}])
    ],
    "a destination rule goes": [without("DestinationRule", "web")],
    "a destination rule hashes": [
        document(
            "DestinationRule",
            "api",
            {
                "host": "api.example",
                "trafficPolicy": {"loadBalancer": {"consistentHash": {"httpHeaderName": "u"}}},
            },
        )
    ],
    "a destination rule of two protocols": [
        document(
            "DestinationRule",
            "mixed",
            {"host": "mixed.example", "trafficPolicy": {"connectionPool": {"tcp": {"idleTimeout": "8s"}}}},
        )
    ],
    "a destination rule of what a rule leads to": [
        changed("VirtualService", "db", tcp=[{"route": to("mixed.example", port={"number": 8125})}]),
        document(
            "DestinationRule",
            "mixed",
            {"host": "mixed.example", "trafficPolicy": {"connectionPool": {"tcp": {"idleTimeout": "8s"}}}},
        ),
    ],
    "destination rules of an HTTP and of another service": [
        document(
            "DestinationRule",
            name,
            {"host": host, "trafficPolicy": {"connectionPool": {"tcp": {"idleTimeout": "5s"}}}},
        )
        for name, host in (("lonely", "lonely.example"), ("any", "any.example"))
    ],
    "a destination rule of TCP": [
        document(
            "DestinationRule",
            "db",
            {"host": "db.example", "trafficPolicy": {"connectionPool": {"tcp": {"idleTimeout": "9s"}}}},
        )
    ],
    "a destination rule of a wildcard": [
        document(
            "DestinationRule",
            "wide",
            {
                "host": "*.example",
                "trafficPolicy": {
                    "connectionPool": {"http": {"maxRetries": 3}, "tcp": {"idleTimeout": "7s"}}
                },
            },
        )
    ],
    "a destination rule of the root namespace": [
        document(
            "DestinationRule",
            "root",
            {"host": "*", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}},
            namespace="istio-system",
        )
    ],
    "a destination rule for some clients": [
        document(
            "DestinationRule",
            "picky",
            {
                "host": "web.example",
                "workloadSelector": {"matchLabels": {"rack": "r1"}},
                "trafficPolicy": {"tls": {"mode": "SIMPLE"}},
            },
        )
    ],
    "a Sidecar comes": [document("Sidecar", "s", {"egress": [{"hosts": ["*/api.example"]}]})],
    "a Sidecar for some": [
        document(
            "Sidecar",
            "s",
            {"workloadSelector": {"labels": {"rack": "r1"}}, "egress": [{"hosts": ["*/db.example"]}]},
        )
    ],
    "a Sidecar of the root namespace": [
        document("Sidecar", "s", {"egress": [{"hosts": ["*/db.example"]}]}, namespace="istio-system")
    ],
    "a Sidecar imports others": [
        document("Sidecar", "shop", {"egress": [{"hosts": ["default/db.example"]}]}, namespace="shop")
    ],
    "a Sidecar has listeners of its own": [
        document(
            "Sidecar",
            "shop",
            {
                "egress": [
                    {"port": {"number": 80, "name": "h", "protocol": "HTTP"}, "hosts": ["*/api.example"]},
                    {"hosts": ["./*"]},
                ]
            },
            namespace="shop",
        )
    ],
    "a Sidecar has another egress proxy": [
        document(
            "Sidecar",
            "out",
            {
                "egress": [{"hosts": ["*/*"]}],
                "outboundTrafficPolicy": {
                    "mode": "ALLOW_ANY",
                    "egressProxy": {"host": "far.example", "port": {"number": 80}},
                },
            },
            namespace="one",
        )
    ],
    "a Sidecar blocks what is unknown": [
        document(
            "Sidecar",
            "shop",
            {"egress": [{"hosts": ["./*"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
            namespace="shop",
        )
    ],
    "a Sidecar goes": [without("Sidecar", "shop", "shop")],
    "a Sidecar has ingress": [
        document(
            "Sidecar",
            "s",
            {
                "workloadSelector": {"labels": {"app": "api"}},
                "ingress": [
                    {
                        "port": {"number": 7000, "name": "h", "protocol": "HTTP"},
                        "defaultEndpoint": "127.0.0.1:7001",
                    }
                ],
            },
        )
    ],
    "a mode for the mesh": [
        document("PeerAuthentication", "p", {"mtls": {"mode": "DISABLE"}}, namespace="istio-system")
    ],
    "a mode for the namespace": [document("PeerAuthentication", "p", {"mtls": {"mode": "DISABLE"}})],
    "a mode for some endpoints": [
        changed(
            "ServiceEntry", "db.example", endpoints=at("10.0.3.1", serviceAccount="db", labels={"app": "db"})
        ),
        document(
            "PeerAuthentication",
            "p",
            {"selector": {"matchLabels": {"app": "db"}}, "mtls": {"mode": "DISABLE"}},
        ),
    ],
    "a mode for ports of a workload": [
        document(
            "PeerAuthentication",
            "p",
            {"selector": {"matchLabels": {"app": "api"}}, "portLevelMtls": {"80": {"mode": "STRICT"}}},
        )
    ],
    "a gateway goes": [without("Gateway", "edge")],
    "a gateway serves less": [
        changed(
            "Gateway",
            "edge",
            servers=[
                {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["api.example"]}
            ],
        )
    ],
    "another gateway comes": [
        document(
            "Gateway",
            "other",
            {
                "selector": {"istio": "edge"},
                "servers": [
                    {"port": {"number": 8081, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]},
                    {
                        "port": {"number": 8080, "name": "http", "protocol": "HTTP"},
                        "tls": {"httpsRedirect": True},
                        "hosts": ["api.example"],
                    },
                ],
            },
        ),
        rule("tcp", ["x.example"], gateways=["other"], tcp=[{"route": to("db.example")}]),
    ],
    **{
        f"{kind} comes for {who}": [document(kind, "p", {**selects, **spec}, namespace=namespace)]
        for kind, spec in {
            "AuthorizationPolicy": {"action": "DENY", "rules": [{"to": [{"operation": {"ports": ["1"]}}]}]},
            "RequestAuthentication": {"jwtRules": [{"issuer": "a", "jwks": '{"keys": []}'}]},
            "PeerAuthentication": {"mtls": {"mode": "STRICT"}},
        }.items()
        for who, namespace, selects in (
            ("workloads", "default", {"selector": {"matchLabels": {"app": "api"}}}),
            ("a namespace", "default", {}),
            ("the mesh", "istio-system", {}),
        )
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_it_is_as_if_it_had_always_been_so(change: str) -> None:
    mesh_config = MeshConfig.model_validate(MESH_CONFIG)
    store = standing_store()
    mesh = Mesh.build(store.configs(), mesh_config)
    translation = Translation(mesh)
    before = [versions(translation, proxy) for proxy in FOLLOWING]
    edit: dict[str, Any] = {}
    for content in CHANGES[change]:
        if isinstance(content, str):
            edit[f"{content}.yaml"] = None
        else:
            edit.update({f"{name}.yaml": parsed for name, parsed in files([content]).items()})
    mesh, _ = mesh.updated(store.apply(edit))
    translation.update(mesh)
    fresh = Translation(Mesh.build(store.configs(), mesh_config))
    after = [versions(translation, proxy) for proxy in FOLLOWING]
    assert after == [versions(fresh, proxy) for proxy in FOLLOWING]
    assert after != before
    # And back, with nobody asking in between.
    standing = {f"{name}.yaml": parsed for name, parsed in standing_files().items()}
    mesh, _ = mesh.updated(store.apply(standing | {file: None for file in edit if file not in standing}))
    translation.update(mesh)
    assert [versions(translation, proxy) for proxy in FOLLOWING] == before
