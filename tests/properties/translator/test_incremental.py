"""A translation that followed every change gives exactly what one made from nothing gives."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

import mizzen
from mizzen.config import ConfigStore, parse_documents
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation

NAMESPACES = ("default", "shop")
HOSTS = ("reviews", "ratings", "db", "secure")
PORTS = {"reviews": ("http", 80), "ratings": ("http-web", 9080), "db": ("tcp", 3306), "secure": ("tls", 443)}

PROXIES = [
    mizzen.Proxy.from_node(
        {
            "id": f"{kind}~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local",
            "metadata": {"NAMESPACE": namespace, "LABELS": labels, "INTERCEPTION_MODE": mode},
        }
    )
    for kind, ip, name, namespace, labels, mode in [
        ("sidecar", "10.0.0.1", "reviews-v1", "default", {"app": "reviews", "version": "v1"}, "REDIRECT"),
        ("sidecar", "10.0.0.2", "ratings-v1", "shop", {"app": "ratings"}, "NONE"),
        ("sidecar", "10.9.9.9", "client", "default", {"app": "client"}, "REDIRECT"),
        ("router", "10.0.0.9", "ingress", "default", {"istio": "ingressgateway"}, "REDIRECT"),
    ]
]


def document(kind: str, group: str, namespace: str, name: str, **body: Any) -> dict[str, Any]:
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace} | body.pop("metadata", {}),
        **body,
    }


NETWORKING = "networking.istio.io/v1"


@st.composite
def services(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(HOSTS))
    port_name, number = PORTS[name]
    return document(
        "Service",
        "v1",
        draw(st.sampled_from(NAMESPACES)),
        name,
        spec={
            "selector": {"app": name},
            "clusterIP": draw(st.sampled_from(["10.1.0.1", "10.1.0.2"])),
            "ports": [{"name": draw(st.sampled_from([port_name, "http"])), "port": number}],
        },
    )


@st.composite
def workload_entries(draw: st.DrawFn) -> dict[str, Any]:
    app = draw(st.sampled_from(HOSTS))
    return document(
        "WorkloadEntry",
        NETWORKING,
        draw(st.sampled_from(NAMESPACES)),
        draw(st.sampled_from(["a", "b"])),
        spec={
            "address": draw(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"])),
            "labels": {"app": app, "version": draw(st.sampled_from(["v1", "v2"]))},
            "weight": draw(st.integers(0, 3)),
        },
    )


@st.composite
def service_entries(draw: st.DrawFn) -> dict[str, Any]:
    host = draw(st.sampled_from(["api.example.com", "*.example.com", "ext.example.com"]))
    resolution = draw(st.sampled_from(["NONE", "STATIC", "DNS"]))
    if host.startswith("*"):
        resolution = "NONE"
    spec: dict[str, Any] = {
        "hosts": [host],
        "ports": [
            {
                "name": "p",
                "number": draw(st.sampled_from([80, 443])),
                "protocol": draw(st.sampled_from(["HTTP", "HTTP", "TLS", "TCP"])),
            }
        ],
        "resolution": resolution,
        "location": "MESH_EXTERNAL",
        "exportTo": [draw(st.sampled_from([".", "*"]))],
    }
    if resolution == "STATIC":
        spec["endpoints"] = [{"address": draw(st.sampled_from(["10.2.0.1", "10.2.0.2"]))}]
    if draw(st.booleans()):
        spec["addresses"] = [draw(st.sampled_from(["10.4.0.1", "10.4.0.2", "10.5.0.0/24"]))]
    namespace, name = draw(st.sampled_from(NAMESPACES)), draw(st.sampled_from(["external", "more"]))
    return document("ServiceEntry", NETWORKING, namespace, name, spec=spec)


@st.composite
def external_names(draw: st.DrawFn) -> dict[str, Any]:
    targets = ["api.example.com", "reviews.default.svc.cluster.local", "ratings.shop.svc.cluster.local"]
    return document(
        "Service",
        "v1",
        draw(st.sampled_from(NAMESPACES)),
        draw(st.sampled_from(["alias", "ratings"])),
        spec={
            "type": "ExternalName",
            "externalName": draw(st.sampled_from(targets)),
            "ports": draw(st.sampled_from([[], [{"name": "http", "port": 80}]])),
        },
    )


@st.composite
def destination_rules(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "host": draw(
            st.sampled_from(["reviews", "frontend", "*.default.svc.cluster.local", "api.example.com"])
        ),
        "subsets": [
            {"name": name, "labels": {"version": name}}
            for name in draw(st.sets(st.sampled_from(["v1", "v2"])))
        ],
        "exportTo": [draw(st.sampled_from([".", "*"]))],
    }
    policy = draw(
        st.sampled_from(
            [
                None,
                {"loadBalancer": {"consistentHash": {"httpHeaderName": "user"}}},
                {"loadBalancer": {"simple": "RANDOM"}},
                {"connectionPool": {"tcp": {"idleTimeout": "30s"}}},
            ]
        )
    )
    if policy is not None:
        spec["trafficPolicy"] = policy
    name = draw(st.sampled_from(["one", "two"]))
    return document("DestinationRule", NETWORKING, draw(st.sampled_from(NAMESPACES)), name, spec=spec)


@st.composite
def virtual_services(draw: st.DrawFn) -> dict[str, Any]:
    host = draw(
        st.sampled_from(
            ["frontend", "reviews", "db", "alias", "api.example.com", "*.example.com", "unknown.example.org"]
        )
    )
    to = {
        "destination": {
            "host": draw(st.sampled_from(["reviews", "frontend", "api.example.com", "alias", "missing"]))
        }
    }
    if draw(st.booleans()):
        to["destination"]["subset"] = "v1"
    spec: dict[str, Any] = {
        "hosts": [host],
        "gateways": draw(st.sampled_from([["mesh"], ["gateway"], ["mesh", "default/gateway"]])),
        "exportTo": [draw(st.sampled_from([".", "*"]))],
    }
    section = draw(st.sampled_from(["http", "http", "tcp", "labels"]))
    if section == "tcp":
        spec["tcp"] = [{"route": [to]}]
    else:
        match: dict[str, Any] = {"uri": {"prefix": draw(st.sampled_from(["/a", "/b"]))}}
        if section == "labels":
            match["sourceLabels"] = {"app": draw(st.sampled_from(["client", "reviews"]))}
        spec["http"] = [{"match": [match], "route": [to]}, {"route": [to]}]
    name = draw(st.sampled_from(["first", "second"]))
    return document("VirtualService", NETWORKING, draw(st.sampled_from(NAMESPACES)), name, spec=spec)


@st.composite
def gateways(draw: st.DrawFn) -> dict[str, Any]:
    servers = [
        {
            "port": {"number": draw(st.sampled_from([8080, 8081])), "name": "http", "protocol": "HTTP"},
            "hosts": [draw(st.sampled_from(["*", "*.example.com", "reviews.shop.svc.cluster.local"]))],
        }
    ]
    passed_on = draw(st.sampled_from([None, "*.local", "*.default.svc.cluster.local", "*"]))
    if passed_on is not None:
        servers.append(
            {
                "port": {"number": 15443, "name": "tls", "protocol": "TLS"},
                "tls": {"mode": "AUTO_PASSTHROUGH"},
                "hosts": [passed_on],
            }
        )
    spec = {"selector": {"istio": "ingressgateway"}, "servers": servers}
    return document("Gateway", NETWORKING, "default", "gateway", spec=spec)


@st.composite
def sidecars(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = {"egress": [{"hosts": [draw(st.sampled_from(["*/*", "./*", "shop/*", "~/*"]))]}]}
    if draw(st.booleans()):
        spec["workloadSelector"] = {"labels": {"app": draw(st.sampled_from(["reviews", "client"]))}}
    if draw(st.booleans()):
        spec["outboundTrafficPolicy"] = {"mode": draw(st.sampled_from(["REGISTRY_ONLY", "ALLOW_ANY"]))}
    if draw(st.booleans()):
        spec["ingress"] = [
            {
                "port": {"number": 9080, "name": "http", "protocol": "HTTP"},
                "defaultEndpoint": "127.0.0.1:8080",
            }
        ]
    return document("Sidecar", NETWORKING, draw(st.sampled_from(NAMESPACES)), "sidecar", spec=spec)


STANDING = [
    document(
        "Service",
        "v1",
        "default",
        "frontend",
        spec={
            "selector": {"app": "reviews"},
            "ports": [{"name": "http", "port": 80}, {"name": "tcp", "port": 3306}],
        },
    ),
    document(
        "ServiceEntry",
        NETWORKING,
        "shop",
        "outside",
        spec={
            "hosts": ["api.example.com"],
            "ports": [{"name": "http", "number": 80, "protocol": "HTTP"}],
            "resolution": "STATIC",
            "endpoints": [{"address": "10.3.0.1"}],
        },
    ),
    document(
        "Gateway",
        NETWORKING,
        "default",
        "gateway",
        spec={
            "selector": {"istio": "ingressgateway"},
            "servers": [
                {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]},
                {
                    "port": {"number": 15443, "name": "tls", "protocol": "TLS"},
                    "tls": {"mode": "AUTO_PASSTHROUGH"},
                    "hosts": ["*.local", "*.com"],
                },
            ],
        },
    ),
]
"""What there is from the start, so that most edits touch something."""

documents = st.one_of(
    services(),
    workload_entries(),
    service_entries(),
    external_names(),
    destination_rules(),
    virtual_services(),
    gateways(),
    sidecars(),
)
edits = st.lists(
    st.lists(st.tuples(documents, st.booleans(), st.integers(0, 3)), min_size=1, max_size=4),
    min_size=1,
    max_size=8,
)


def versions(translation: Translation, proxy: mizzen.Proxy) -> Any:
    """The version of each resource that the proxy is sent, and the lines that it comes from."""
    resources = translation.resources(proxy)
    lines = translation.mesh.current_origin
    return {
        kind: {
            name: (r.version, sorted({str(lines(each)) for each in r.origins})) for name, r in held.items()
        }
        for kind, held in resources.items()
    }


def parsed(content: dict[str, Any], file: str, comments: int = 0) -> Any:
    """The document as a file that begins with so many lines of comment."""
    found = parse_documents(b"# comment\n" * comments + json.dumps(content, indent=1).encode(), file)
    assert not found.diagnostics, found.diagnostics
    return found


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edits)
def test_following_changes_gives_what_a_new_build_gives(
    batches: list[list[tuple[dict[str, Any], bool, int]]],
) -> None:
    mesh_config = MeshConfig()
    store = ConfigStore()
    store.apply(
        {f"{number}.yaml": parsed(content, f"{number}.yaml") for number, content in enumerate(STANDING)}
    )
    mesh = Mesh.build(store.configs(), mesh_config)
    translation = Translation(mesh)
    for proxy in PROXIES:
        translation.snapshot(proxy)
    for round_number, batch in enumerate(batches):
        files: dict[str, Any] = {}
        for content, deleted, comments in batch:
            metadata = content["metadata"]
            file = f"a-{content['kind']}-{metadata['namespace']}-{metadata['name']}.yaml"
            files[file] = None if deleted else parsed(content, file, comments)
        change = store.apply(files)
        mesh, _ = mesh.updated(change)
        translation.update(mesh)
        fresh = Translation(Mesh.build(store.configs(), mesh_config))
        # Some proxies fall behind by a change or two, as those do that nobody asks for.
        for index, proxy in enumerate(PROXIES):
            if (round_number + index) % 3 != 2 or round_number == len(batches) - 1:
                assert versions(translation, proxy) == versions(fresh, proxy)
