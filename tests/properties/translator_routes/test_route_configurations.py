"""Whatever changes, and in whatever order: what is remembered is what would be built anew."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
from envoy.config.route.v3 import route_pb2
from hypothesis import HealthCheck, given, settings

from mizzen.config import Config, ConfigChange, ConfigKey, MeshConfig, parse_documents, to_config
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.port_routes import Routing
from mizzen.translator.routes.sidecar import sidecar_route_configuration
from mizzen.xds.resource import Resource
from tests.unit.translator.routes.followed import Followed

HOSTS = (
    "a.default.svc.cluster.local",
    "a.other.svc.cluster.local",
    "a.default",
    "b.example.com",
    "B.example.com",
)
WILDCARDS = ("*.example.com", "*.default.svc.cluster.local", "*.com")
ROUTE_NAMES = ("80", "81", "http_proxy", "b.example.com:81", "a.default:80")
PROXIES = tuple(
    Proxy.from_node(
        {
            "id": f"{kind}~10.9.9.9~client.{namespace}~{namespace}.svc.cluster.local",
            "metadata": {"NAMESPACE": namespace, "LABELS": labels},
        }
    )
    for kind, namespace, labels in (
        ("sidecar", "default", {}),
        ("sidecar", "default", {"app": "x"}),
        ("sidecar", "other", {}),
        ("router", "default", {"app": "gateway"}),
    )
)
NAMESPACES = st.sampled_from(("default", "other"))


def document(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


service_entries = st.builds(
    lambda namespace, host, ports, address: document(
        "ServiceEntry",
        namespace,
        "se-" + host.lower().replace(".", "-"),
        {
            "hosts": [host],
            "addresses": address,
            "resolution": "STATIC",
            "ports": [
                {"number": number, "name": f"p{number}", "protocol": protocol}
                for number, protocol in ports.items()
            ],
        },
    ),
    NAMESPACES,
    st.sampled_from(HOSTS),
    st.dictionaries(st.sampled_from((80, 81)), st.sampled_from(("HTTP", "GRPC", "TCP")), min_size=1),
    st.sampled_from(([], ["10.1.0.1"], ["10.1.0.2"])),
)
matches = st.sampled_from(
    (
        {},
        {"match": [{"port": 81}]},
        {"match": [{"sourceLabels": {"app": "x"}}]},
        {"match": [{"sourceNamespace": "other", "uri": {"prefix": "/o"}}]},
        {"match": [{"uri": {"prefix": "/p"}}, {"headers": {"x": {"exact": "y"}}}]},
    )
)
virtual_services = st.builds(
    lambda namespace, name, hosts, gateways, rules: document(
        "VirtualService",
        namespace,
        f"vs-{name}",
        {
            "hosts": hosts,
            "gateways": gateways,
            "http": [
                {**match, "route": [{"destination": {"host": host, "subset": "v1"}}]} for match, host in rules
            ],
        },
    ),
    NAMESPACES,
    st.integers(0, 2),
    st.lists(st.sampled_from((*HOSTS, *WILDCARDS)), min_size=1, max_size=2, unique_by=str.lower),
    st.sampled_from(
        (["mesh", "default/edge"], ["mesh"], ["default/edge"], ["default/first"], ["edge", "first"])
    ),
    st.lists(st.tuples(matches, st.sampled_from(HOSTS)), min_size=1, max_size=2),
)
destination_rules = st.builds(
    lambda namespace, host, header: document(
        "DestinationRule",
        namespace,
        "dr-" + host.lower().replace(".", "-"),
        {
            "host": host,
            "trafficPolicy": {"loadBalancer": {"consistentHash": {"httpHeaderName": header}}},
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
        },
    ),
    NAMESPACES,
    st.sampled_from(HOSTS),
    st.sampled_from(("x-user", "x-other")),
)
gateways = st.builds(
    lambda name, servers: document(
        "Gateway",
        "default",
        name,
        {
            "selector": {"app": "gateway"},
            "servers": [
                {
                    "port": {"number": 80, "name": "http", "protocol": "HTTP"},
                    "hosts": hosts,
                    **({"tls": {"httpsRedirect": True}} if redirected else {}),
                }
                for hosts, redirected in servers
            ],
        },
    ),
    st.sampled_from(("edge", "first")),
    st.lists(
        st.tuples(
            st.sampled_from((["*"], ["*.example.com", "a.default.svc.cluster.local"], ["other/*"])),
            st.booleans(),
        ),
        min_size=1,
        max_size=2,
    ),
)
EDGE = document(
    "Gateway",
    "default",
    "edge",
    {
        "selector": {"app": "gateway"},
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
    },
)
documents = st.one_of(service_entries, virtual_services, destination_rules, gateways)
changes = st.lists(
    st.tuples(st.lists(documents, max_size=3), st.sets(st.integers(0, 9), max_size=2)),
    min_size=1,
    max_size=5,
)


def typed(found: list[dict[str, Any]]) -> dict[ConfigKey, Config[Any]]:
    """Type the documents; one that is not valid is left out, as it would be in a running control plane."""
    text = "\n---\n".join(json.dumps(each) for each in found)
    configs = (to_config(each)[0] for each in parse_documents(text.encode(), "mesh.yaml").documents)
    return {config.key: config for config in configs if config is not None}


def resources(
    mesh: Mesh,
    mesh_config: MeshConfig,
    memo: Memo,
    followed: Followed,
) -> dict[tuple[int, str], Resource]:
    found: dict[tuple[int, str], Resource] = {}
    for at, proxy in enumerate(PROXIES):
        if proxy.type == "router":
            found[at, "http.80"] = followed.gateway("http.80", mesh, proxy, memo)
            continue
        scope, cached = followed.cached(mesh, mesh.outbound_profile(proxy), memo)
        routing = Routing(scope, RouteSettings.of(mesh_config), memo)
        for name in ROUTE_NAMES:
            number = name.rpartition(":")[2]
            listener = scope.egress_listener_for(int(number) if number.isdecimal() else 0)
            found[at, name] = sidecar_route_configuration(name, listener, routing, cached)
    return found


def assert_envoy_would_take(resource: Resource) -> None:
    message = route_pb2.RouteConfiguration.FromString(resource.value)
    names = [host.name for host in message.virtual_hosts]
    domains = [domain.lower() for host in message.virtual_hosts for domain in host.domains]
    assert len(set(names)) == len(names), names
    assert len(set(domains)) == len(domains), domains
    assert all(host.domains for host in message.virtual_hosts)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(documents, max_size=8), changes)
def test_remembered_is_what_would_be_built_anew(first: list[dict[str, Any]], later: list[Any]) -> None:
    mesh_config = MeshConfig()
    followed = (Memo(), Followed())
    held = typed([EDGE, *first])
    mesh = Mesh.build(held.values(), mesh_config)
    for updates, removals in [([], set()), *later]:
        updated = typed(updates)
        gone = [key for at, key in enumerate(sorted(held)) if at in removals and key not in updated]
        held = {key: config for key, config in {**held, **updated}.items() if key not in gone}
        mesh, _ = mesh.updated(ConfigChange(tuple(updated.values()), tuple(gone)))
        remembered = resources(mesh, mesh_config, *followed)
        anew = resources(Mesh.build(held.values(), mesh_config), mesh_config, Memo(), Followed())
        for key, resource in remembered.items():
            assert resource.value == anew[key].value, key
            assert resource.version == anew[key].version, key
            assert_envoy_would_take(resource)
        assert resources(mesh, mesh_config, *followed) == remembered
