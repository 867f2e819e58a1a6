"""Policies of action CUSTOM: whom the proxy asks, and when nobody can be asked."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

import mizzen
from mizzen.config import Config, ConfigChange, MeshConfig, parse_documents, to_config
from mizzen.config.group_kinds import SERVICE_ENTRY
from mizzen.config.mesh_config_text import parse_mesh_config
from mizzen.mesh.analysis import analyze
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls

WORKLOAD = """
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {selector: {app: store}, ports: [{name: http, port: 80}, {name: tcp, port: 90}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: store}
spec: {address: 10.0.0.7, labels: {app: store}}
"""
AUTHORIZER = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: gate, namespace: NAMESPACE}
spec:
  hosts: [gate.example]
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.9}]
"""
POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: NAME}
spec: {action: CUSTOM, provider: {name: PROVIDER}, rules: [{to: [{operation: {paths: [/a]}}]}]}
"""
GRPC = {"name": "gate", "envoyExtAuthzGrpc": {"service": "gate.example", "port": 9000}}
HTTP = {"name": "web", "envoyExtAuthzHttp": {"service": "gate.example", "port": 9000}}
PROXY = mizzen.Proxy.from_node({"id": "sidecar~10.0.0.7~store.default~default.svc.cluster.local"})


def documents(text: str) -> list[Config[Any]]:
    found = [to_config(document)[0] for document in parse_documents(text.encode(), "mesh.yaml").documents]
    assert all(found)
    return [each for each in found if each is not None]


def mesh_of(*texts: str, providers: list[dict[str, Any]] | None = None) -> Mesh:
    settings, found = parse_mesh_config(yaml.safe_dump({"extensionProviders": providers or [GRPC]}), "m.yaml")
    assert settings is not None, found
    return Mesh.build(documents("\n---\n".join((WORKLOAD, *texts))), settings)


def authorizer(namespace: str = "default") -> str:
    return AUTHORIZER.replace("NAMESPACE", namespace)


def policy(provider: str, name: str = "") -> str:
    return POLICY.replace("PROVIDER", provider).replace("NAME", name or provider)


def asked(translation: Translation) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Return the HTTP filters of the inbound chain that belong to policies, the network filters of the chain
    of TCP, and the codes of the warnings."""
    resources = translation.resources(PROXY)
    listener = listener_pb2.Listener.FromString(resources[type_urls.LISTENER]["virtualInbound"].value)
    http: list[str] = []
    tcp: list[str] = []
    for chain in listener.filter_chains:
        kinds = [each.name.removeprefix("envoy.filters.") for each in chain.filters]
        if chain.filters[-1].name.endswith("http_connection_manager"):
            manager = hcm.HttpConnectionManager()
            chain.filters[-1].typed_config.Unpack(manager)
            http = [
                _told(each) for each in manager.http_filters if "authz" in each.name or "rbac" in each.name
            ]
        elif chain.filter_chain_match.destination_port.value == 90:
            tcp = [kind for kind in kinds if "authz" in kind or "rbac" in kind]
    return http, tcp, tuple(each.code for each in resources.diagnostics)


def _told(http_filter: Any) -> str:
    if http_filter.name.endswith("ext_authz"):
        config = ext_authz_pb2.ExtAuthz()
        http_filter.typed_config.Unpack(config)
        return str(config.grpc_service.envoy_grpc.cluster_name or config.http_service.server_uri.cluster)
    rules = rbac_pb2.RBAC()
    http_filter.typed_config.Unpack(rules)
    return "note" if rules.HasField("shadow_rules") else f"deny {','.join(rules.rules.policies)}"


RULE = "ns[default]-policy[{0}]-rule[0]-deny-due-to-bad-CUSTOM-action"
DENIED = [f"deny istio-ext-authz-gate-{RULE.format('gate')}"]
CLUSTER = "outbound|9000||gate.example"


def test_the_authorizer_is_asked_about_what_the_rules_match() -> None:
    assert asked(Translation(mesh_of(authorizer(), policy("gate")))) == (
        ["note", CLUSTER],
        ["network.rbac", "network.ext_authz"],
        (),
    )


def test_an_authorizer_by_http_takes_no_part_in_plain_tcp_and_that_is_said() -> None:
    translation = Translation(mesh_of(authorizer(), policy("web"), providers=[HTTP]))
    assert asked(translation) == (["note", CLUSTER], [], ("MZ0107",))
    [said] = translation.resources(PROXY).diagnostics
    assert (
        "web is asked by HTTP, so plain TCP passes unasked at port 90; name a provider of gRPC"
        in said.message
    )


@pytest.mark.parametrize(
    ("operation", "codes"),
    [
        ("ports: ['80']", ()),
        ("paths: [/a], ports: ['80']", ()),
        ("notPorts: ['90']", ()),
        ("ports: ['80', '90']", ("MZ0107",)),
        ("notPorts: ['80']", ("MZ0107",)),
    ],
)
def test_a_policy_that_names_its_ports_is_about_those(operation: str, codes: tuple[str, ...]) -> None:
    text = policy("web").replace("paths: [/a]", operation)
    assert asked(Translation(mesh_of(authorizer(), text, providers=[HTTP])))[2] == codes


def test_at_a_gateway_plain_tcp_passes_unasked_too() -> None:
    gateway = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {app: store}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 3306, name: tcp, protocol: TCP}, hosts: ["*"]}
"""
    node = {"id": "router~10.0.0.7~store.default~default.svc.cluster.local"}
    mesh = mesh_of(authorizer(), policy("web"), gateway, providers=[HTTP])
    found = Translation(mesh).resources(mizzen.Proxy.from_node(node)).diagnostics
    assert [each.code for each in found if "at port 3306" in each.message] == ["MZ0107"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([policy("gate")], '"gate.example" is not a service of the mesh'),
        (
            [authorizer("a"), authorizer("b"), policy("gate")],
            '"gate.example" is in the namespaces a, b; write <namespace>/gate.example in its service',
        ),
        ([authorizer(), policy("other")], 'no extension provider "other" of external authorization'),
    ],
)
def test_where_nobody_can_be_asked_all_is_denied_and_that_is_said(texts: list[str], words: str) -> None:
    mesh = mesh_of(*texts)
    [http], tcp, _ = asked(Translation(mesh))
    assert http.startswith("deny istio-ext-authz-")
    assert tcp == ["network.rbac"]
    [diagnostic] = [each for each in analyze(mesh) if each.path == "spec.provider.name"]
    assert diagnostic.code == "IST0101"
    assert words in diagnostic.message


def test_a_namespace_before_the_host_chooses_the_service() -> None:
    provider = {"name": "gate", "envoyExtAuthzGrpc": {"service": "b/gate.example", "port": 9000}}
    mesh = mesh_of(authorizer("a"), authorizer("b"), policy("gate"), providers=[provider])
    assert asked(Translation(mesh))[0] == ["note", CLUSTER]


def test_two_authorizers_for_one_workload_are_not_asked() -> None:
    mesh = mesh_of(authorizer(), policy("gate"), policy("web"), providers=[GRPC, HTTP])
    http, _, codes = asked(Translation(mesh))
    assert http == [*DENIED, f"deny istio-ext-authz-web-{RULE.format('web')}"]
    assert codes == ("MZ0106", "MZ0106")


def test_a_service_that_comes_and_goes_takes_effect() -> None:
    mesh = mesh_of(policy("gate"))
    translation = Translation(mesh)
    assert asked(translation)[0] == DENIED
    mesh, _ = mesh.updated(ConfigChange(tuple(documents(authorizer())), ()))
    translation.update(mesh)
    assert asked(translation)[0] == ["note", CLUSTER]
    mesh, _ = mesh.updated(ConfigChange((), (SERVICE_ENTRY.key("default", "gate"),)))
    translation.update(mesh)
    assert asked(translation)[0] == DENIED


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"name": "A_b"}, "name", '"A_b" is not a name'),
        ({"envoyExtAuthzHttp": {"port": 1}}, "envoyExtAuthzHttp.service", "the service is missing"),
        ({"envoyExtAuthzHttp": {"service": "a"}}, "envoyExtAuthzHttp.port", "port"),
        (
            {"envoyExtAuthzHttp": {"service": "a", "port": 1, "statusOnError": "600"}},
            "envoyExtAuthzHttp.statusOnError",
            '"600" is not a status that Envoy can send',
        ),
        (
            {"envoyExtAuthzHttp": {"service": "a", "port": 1, "pathPrefix": "x"}},
            "envoyExtAuthzHttp.pathPrefix",
            "does not begin with a slash",
        ),
        (
            {"envoyExtAuthzHttp": {"service": "a", "port": 1, "headersToUpstreamOnAllow": ["*"]}},
            "envoyExtAuthzHttp.headersToUpstreamOnAllow",
            "is not possible for headers",
        ),
        (
            {"envoyExtAuthzGrpc": {"service": "a", "port": 1, "includeRequestBodyInCheck": {}}},
            "envoyExtAuthzGrpc.includeRequestBodyInCheck",
            "maxRequestBytes is missing",
        ),
    ],
)
def test_a_broken_provider_is_a_warning_and_is_not_asked(
    fields: dict[str, Any], path: str, words: str
) -> None:
    provider = {"name": "gate", **({"envoyExtAuthzHttp": {"service": "a", "port": 1}} | fields)}
    if "envoyExtAuthzGrpc" in fields:
        del provider["envoyExtAuthzHttp"]
    settings, [diagnostic] = parse_mesh_config(yaml.safe_dump({"extensionProviders": [provider]}), "m.yaml")
    assert isinstance(settings, MeshConfig)
    assert (diagnostic.severity, diagnostic.path) == ("warning", f"extensionProviders[0].{path}")
    assert words in diagnostic.message
    mesh = Mesh.build(documents("\n---\n".join((WORKLOAD, policy(provider["name"], "p")))), settings)
    assert asked(Translation(mesh))[0][0].startswith("deny")


def test_a_listener_names_the_policies_that_make_its_filters() -> None:
    resources = Translation(mesh_of(authorizer(), policy("gate"))).resources(PROXY)
    places = [str(origin) for origin in resources[type_urls.LISTENER]["virtualInbound"].origins]
    assert places == ["mesh.yaml:2", "mesh.yaml:25"]


def test_a_gateways_listener_names_no_policy_that_makes_nothing_of_it() -> None:
    """A PeerAuthentication is for calls that other workloads make."""
    strict = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict}
spec: {mtls: {mode: STRICT}}
"""
    door = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: door}
spec: {selector: {app: door}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""
    node = {
        "id": "router~10.0.0.8~door.default~default.svc.cluster.local",
        "metadata": {"LABELS": {"app": "door"}},
    }
    mesh = Mesh.build(documents("\n---\n".join((strict, door))))
    (listener,) = Translation(mesh).resources(mizzen.Proxy.from_node(node))[type_urls.LISTENER].values()
    assert [str(origin) for origin in listener.origins] == ["mesh.yaml:12"], "the server"
