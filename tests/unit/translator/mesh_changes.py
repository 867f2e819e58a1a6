"""Changes of the standing mesh, each by the documents that are written and the names of those that go."""

from __future__ import annotations

from typing import Any

from tests.unit.translator.standing_mesh import STANDING, at, document, entry, rule, to


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
