"""Several changes one after the other: what is sent then is what a start from nothing sends."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls

HTTP = {"name": "http", "number": 80, "protocol": "HTTP"}
TCP = {"name": "tcp", "number": 3306, "protocol": "TCP"}
OTHER_TCP = {"name": "tcp", "number": 3307, "protocol": "TCP"}
HIGH = {"name": "http", "number": 9090, "protocol": "HTTP"}
CLIENT = {"app": "client"}


def document(kind: str, name: str, spec: Any, *, namespace: str = "default", **metadata: Any) -> Any:
    version = "v1" if kind in ("Service", "Pod", "Secret") else "networking.istio.io/v1"
    metadata = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def entry(host: str, port: Any = HTTP, *, namespace: str = "default", **spec: Any) -> Any:
    spec = {"hosts": [host], "ports": [port], "resolution": "STATIC", "location": "MESH_INTERNAL", **spec}
    return document("ServiceEntry", host.replace("*", "any"), spec, namespace=namespace)


def hashing(host: str, header: str, namespace: str = "default") -> Any:
    policy = {"loadBalancer": {"consistentHash": {"httpHeaderName": header}}}
    return document(
        "DestinationRule", "hashing", {"host": host, "trafficPolicy": policy}, namespace=namespace
    )


def encrypted(name: str, host: str, roots: str, **spec: Any) -> Any:
    policy = {"tls": {"mode": "SIMPLE", "caCertificates": roots}}
    return document("DestinationRule", name, {"host": host, "trafficPolicy": policy, **spec})


def idle(timeout: str) -> Any:
    policy = {"connectionPool": {"tcp": {"idleTimeout": timeout}}}
    return document("DestinationRule", "idle", {"host": "x.example", "trafficPolicy": policy})


def leading(host: str, to: str, namespace: str = "default") -> Any:
    routes = [{"route": [{"destination": {"host": to}}]}]
    return document("VirtualService", "leading", {"hosts": [host], "http": routes}, namespace=namespace)


KUBERNETES_TCP = document("Service", "a", {"ports": [{"name": "tcp", "port": 3306}]})

FORWARD_PROXY = document(
    "Sidecar",
    "proxy",
    {
        "egress": [
            {"port": {"number": 6000, "name": "proxy", "protocol": "HTTP_PROXY"}, "hosts": ["*/*"]},
        ]
    },
)

FOR_CLIENTS = document(
    "VirtualService",
    "for-clients",
    {
        "hosts": ["db.example"],
        "tcp": [
            {"match": [{"sourceLabels": CLIENT}], "route": [{"destination": {"host": "db.example"}}]},
        ],
    },
)

CLOSED = document(
    "Sidecar", "closed", {"egress": [{"hosts": ["*/*"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
)

STEPS: dict[str, list[dict[str, Any]]] = {
    **{
        f"an egress listener of {protocol} has the limits of an HTTP service": [
            {
                "service": entry("x.example"),
                "sidecar": document(
                    "Sidecar",
                    "connections",
                    {
                        "egress": [
                            {"port": {"number": 80, "name": "p", "protocol": protocol}, "hosts": ["*/*"]}
                        ]
                    },
                ),
            },
            {"rule": idle("5s")},
            {"rule": idle("7s")},
            {"rule": None},
        ]
        for protocol in ("TCP", "TLS")
    },
    "a Sidecar has another policy for unknown hosts than the mesh": [
        {"sidecar": CLOSED},
        {"sidecar": None},
        {"sidecar": CLOSED},
    ],
    "an egress listener that is an HTTP proxy goes with its last service, which has UDP ports alone": [
        {
            "service": entry("x.example", {"name": "dns", "number": 53, "protocol": "UDP"}),
            "sidecar": FORWARD_PROXY,
        },
        {"service": None},
        {"service": entry("x.example", {"name": "dns", "number": 53, "protocol": "UDP"})},
    ],
    "an egress listener that is an HTTP proxy has the routes of all ports": [
        {"service": entry("x.org"), "sidecar": FORWARD_PROXY},
        {"routes": leading("x.org", "missing.example")},
        {"service": entry("x.org", {"name": "http", "number": 9080, "protocol": "HTTP"})},
        {"routes": None},
    ],
    "a wildcard's rule for a destination that is no service": [
        {"service": entry("x.org"), "routes": leading("x.org", "missing.example")},
        {"rule": hashing("*.example", "one")},
        {"rule": hashing("*.example", "two")},
        {"rule": None},
    ],
    "a bare name that a Service has too comes first": [
        {"entry": entry("a", TCP)},
        {"service": KUBERNETES_TCP},
        {"entry": None},
        {"entry": entry("a", TCP)},
    ],
    "a bare name that a Service has too comes second": [
        {"service": KUBERNETES_TCP},
        {"entry": entry("a", TCP)},
        {"service": None},
        {"service": KUBERNETES_TCP},
    ],
    "a Service comes to have endpoints that a ServiceEntry of the same host without resolution has too": [
        {
            "entry": document(
                "ServiceEntry", "b", {"hosts": ["b.default.svc.cluster.local"], "ports": [TCP]}
            ),
            "service": document(
                "Service", "b", {"selector": {"app": "b"}, "ports": [{"name": "tcp", "port": 3306}]}
            ),
        },
        {"workload": document("WorkloadEntry", "b-1", {"address": "10.0.0.2", "labels": {"app": "b"}})},
        {"workload": None},
    ],
    "two egress listeners have different services of one hostname": [
        {
            "first": entry("x.example"),
            "second": entry("x.example", HIGH, namespace="shop"),
            "sidecar": document(
                "Sidecar",
                "two",
                {
                    "egress": [
                        {"port": {"number": 80, "name": "p", "protocol": "HTTP"}, "hosts": ["default/*"]},
                        {"hosts": ["shop/*"]},
                    ]
                },
            ),
        },
        {"second": entry("x.example", HIGH, namespace="shop", addresses=["10.1.0.1"])},
        {"routes": leading("x.example", "y.example", namespace="shop")},
        {"routes": leading("x.example", "z.example", namespace="shop")},
        {"routes": leading("*.example", "z.example", namespace="shop")},
        {"routes": None},
        {"rule": hashing("x.example", "one", namespace="shop")},
        {"rule": hashing("x.example", "two", namespace="shop")},
        {"rule": hashing("*.example", "two")},
        {"rule": None},
    ],
    "a rule that looks at labels is there before its service": [
        {"other": entry("other.example", HIGH)},
        {
            "routes": document(
                "VirtualService",
                "labelled",
                {
                    "hosts": ["x.example"],
                    "http": [
                        {
                            "match": [{"sourceLabels": CLIENT}],
                            "route": [{"destination": {"host": "other.example"}}],
                        }
                    ],
                },
            )
        },
        {"service": entry("x.example", HIGH)},
        {"other": entry("other.example", HIGH, addresses=["10.1.0.1"])},
        {"service": None},
        {"routes": None},
        {"service": entry("x.example", HIGH)},
    ],
    "a proxy that labels decide something for is told of ports that they do not decide about": [
        {"e": entry("e.example", TCP), "db": entry("db.example", OTHER_TCP), "routes": FOR_CLIENTS},
        {"f": entry("f.example", TCP)},
        {"f": None},
    ],
    "a proxy that labels decide something for gets the certificates of clusters that all have": [
        {
            "x": entry("x.example"),
            "y": entry("y.example"),
            "own": encrypted("own", "x.example", "/own.pem", workloadSelector={"matchLabels": CLIENT}),
        },
        {"all": encrypted("all", "y.example", "/all.pem", workloadSelector={})},
        {"all": None},
    ],
    "a gateway that passes on is bound by a policy": [
        {
            "service": entry("x.example"),
            "gateway": document(
                "Gateway",
                "passing",
                {
                    "servers": [
                        {
                            "port": {"number": 15443, "name": "tls", "protocol": "TLS"},
                            "tls": {"mode": "AUTO_PASSTHROUGH"},
                            "hosts": ["*.example"],
                        }
                    ]
                },
            ),
        },
        {
            "policy": {
                "apiVersion": "security.istio.io/v1",
                "kind": "AuthorizationPolicy",
                "metadata": {"name": "nobody", "namespace": "default"},
                "spec": {},
            }
        },
        {"policy": None},
    ],
}


def node(kind: str, namespace: str = "default", address: str = "10.9.9.9", **metadata: Any) -> mizzen.Proxy:
    labels = {"istio": "edge"} if kind == "router" else CLIENT
    return mizzen.Proxy.from_node(
        {
            "id": f"{kind}~{address}~w.{namespace}~{namespace}.svc.cluster.local",
            "metadata": {"NAMESPACE": namespace, "LABELS": labels, **metadata},
        }
    )


PROXIES = [
    node("sidecar"),
    node("sidecar", address="10.9.9.8", LABELS={}),
    node("sidecar", "shop", INTERCEPTION_MODE="NONE", DNS_CAPTURE="true"),
    node("router"),
    node("router", "shop", "10.0.0.1", NETWORK="west"),
]


def sent(translation: Translation, proxy: mizzen.Proxy) -> Any:
    resources = translation.resources(proxy)
    made = {
        kind: {name: (resource.version, resource.origins) for name, resource in held.items()}
        for kind, held in resources.items()
    }
    return made, sorted(map(str, resources.diagnostics))


MESH_CONFIGS = [
    MeshConfig(),
    MeshConfig.model_validate(
        {
            "outboundTrafficPolicy": {
                "mode": "ALLOW_ANY_DYNAMIC_DNS",
                "tls": {"mode": "SIMPLE", "caCertificates": "/ca.pem"},
            }
        }
    ),
]


@pytest.mark.parametrize("mesh_config", MESH_CONFIGS, ids=["plain", "all names are looked up"])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_after_each_step_all_is_as_if_it_had_always_been_so(
    steps: list[dict[str, Any]], mesh_config: MeshConfig
) -> None:
    store = ConfigStore()
    mesh = Mesh.build((), mesh_config)
    translation = Translation(mesh)
    for number, files in enumerate(steps):
        change = store.apply(
            {
                name: parse_documents(yaml.safe_dump(content).encode(), name) if content is not None else None
                for name, content in files.items()
            }
        )
        mesh, _ = mesh.updated(change)
        translation.update(mesh)
        anew = Translation(Mesh.build(store.configs(), mesh_config))
        for proxy in PROXIES:
            assert sent(translation, proxy) == sent(anew, proxy), (number, proxy.node_id)


def test_the_cluster_of_names_that_are_looked_up_has_its_roots() -> None:
    translation = Translation(Mesh.build((), MESH_CONFIGS[1]))
    (secret,) = translation.resources(PROXIES[0])[type_urls.SECRET]
    assert secret == "file-root:/ca.pem"


def test_egress_listeners_that_are_http_proxies_keep_their_routes_apart() -> None:
    def listener(number: int, host: str) -> Any:
        port = {"number": number, "name": f"proxy-{number}", "protocol": "HTTP_PROXY"}
        return {"port": port, "hosts": [f"*/{host}"]}

    def routes_with(*listeners: Any) -> Any:
        service = entry("y.example", {"name": "http", "number": 9080, "protocol": "HTTP"})
        routes = leading("x.example", "y.example")
        routes["spec"]["hosts"].append("y.example")
        contents = [
            entry("x.example"),
            service,
            routes,
            document("Sidecar", "s", {"egress": list(listeners)}),
        ]
        store = ConfigStore()
        store.apply({"all": parse_documents(yaml.safe_dump_all(contents).encode(), "all")})
        assert not store.diagnostics()
        made = Translation(Mesh.build(store.configs(), MeshConfig())).resources(PROXIES[0])[type_urls.ROUTE]
        return {name: resource.version for name, resource in made.items()}

    first, second = listener(6000, "x.example"), listener(6001, "y.example")
    assert routes_with(first, second) == routes_with(first) | routes_with(second)
