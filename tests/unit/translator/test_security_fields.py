"""Each field of the three security kinds changes what a workload is sent, or is named in a warning."""

from __future__ import annotations

import json
from typing import Any

import pytest

import mizzen
from mizzen.config import Config, MeshConfig, parse_documents, to_config
from mizzen.config.group_kinds import AUTHORIZATION_POLICY, PEER_AUTHENTICATION, REQUEST_AUTHENTICATION
from mizzen.config.models import SPECS
from mizzen.config.models.fields import leaf_fields
from mizzen.config.validation.unserved_fields import UNSERVED
from mizzen.mesh.snapshot import Mesh
from mizzen.server.key_set_refresh import wanted_sources

KINDS = (AUTHORIZATION_POLICY, PEER_AUTHENTICATION, REQUEST_AUTHENTICATION)
PROVIDERS = [{"name": name, "envoyExtAuthzGrpc": {"service": "gate.example", "port": 90}} for name in "ab"]
MESH = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec: {selector: {app: shop}, ports: [{name: http, port: 80}, {name: tcp, port: 81}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop, namespace: default}
spec: {address: 10.0.0.1, labels: {app: shop}, serviceAccount: shop}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: gate, namespace: default}
spec:
  hosts: [gate.example]
  ports: [{number: 90, name: grpc, protocol: GRPC}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.9}]
"""
PROXY = mizzen.Proxy.from_node(
    {
        "id": "sidecar~10.0.0.1~shop.default~default.svc.cluster.local",
        "metadata": {"LABELS": {"app": "shop"}, "NAMESPACE": "default"},
    }
)
KEYS = [
    json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": kid, "x": x, "y": x}]})
    for kid, x in (
        ("a", "z-aY_OXdRrZeWp22IlQKapn2QNWGW51c4NgNXr0sZ_k"),
        ("b", "XDVcS9Xskqx97yv7X9w7S9QMAyY4"),
    )
]
RULE: dict[str, Any] = {
    "issuer": "a@example.com",
    "audiences": ["shop"],
    "jwks": KEYS[0],
    "fromHeaders": [{"name": "x-token", "prefix": "Token "}],
    "fromParams": ["token"],
    "fromCookies": ["token"],
    "outputPayloadToHeader": "x-payload",
    "outputClaimToHeaders": [{"header": "x-who", "claim": "sub"}],
    "spaceDelimitedClaims": ["groups"],
}
FETCHED = {"issuer": "a@example.com", "jwksUri": "https://a.example/keys", "timeout": "3s"}

AUTHORIZATION = "AuthorizationPolicy spec.rules[]"
SOURCES = {
    "principals": ("td/ns/a/sa/b", "td/ns/a/sa/c"),
    "requestPrincipals": ("issuer/a", "issuer/b"),
    "namespaces": ("a", "b"),
    "serviceAccounts": ("a", "b"),
    "ipBlocks": ("10.0.0.0/8", "11.0.0.0/8"),
    "remoteIpBlocks": ("10.0.0.0/8", "11.0.0.0/8"),
    "trustDomains": ("a.example", "b.example"),
}
"""Of the fields of a source: a value, and another one."""
OPERATIONS = {
    "hosts": ("a.example", "b.example"),
    "ports": ("80", "81"),
    "methods": ("GET", "POST"),
    "paths": ("/a", "/b"),
}
"""The same of an operation."""


def condition(**fields: Any) -> dict[str, Any]:
    return {"rules": [{"when": [{"key": "source.ip", **fields}]}]}


def custom(name: str) -> dict[str, Any]:
    return {"action": "CUSTOM", "provider": {"name": name}, "rules": [{}]}


def token(**changes: Any) -> dict[str, Any]:
    return {"jwtRules": [{**RULE, **changes}]}


def selecting(app: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"selector": {"matchLabels": {"app": app}}, **spec}


def pairs() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return, by kind and path, two specs that differ in that field alone."""
    token_rule, modes = "RequestAuthentication spec.jwtRules[]", "PeerAuthentication spec"
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "AuthorizationPolicy spec.action": ({"rules": [{}]}, {"action": "DENY", "rules": [{}]}),
        "AuthorizationPolicy spec.provider.name": (custom("a"), custom("b")),
        f"{AUTHORIZATION}.when[].key": (condition(values=["10.0.0.0/8"]), {"rules": [{"when": [REMOTE]}]}),
        f"{AUTHORIZATION}.when[].values[]": (condition(values=["10.0.0.1"]), condition(values=["10.0.0.2"])),
        f"{AUTHORIZATION}.when[].notValues[]": (
            condition(notValues=["10.0.0.1"]),
            condition(notValues=["10.0.0.2"]),
        ),
        f"{modes}.mtls.mode": ({"mtls": {"mode": "STRICT"}}, {"mtls": {"mode": "DISABLE"}}),
        f"{modes}.portLevelMtls[]": tuple(
            selecting("shop", {"portLevelMtls": {80: {"mode": mode}}}) for mode in ("STRICT", "DISABLE")
        ),
        f"{token_rule}.issuer": (token(), token(issuer="b@example.com")),
        f"{token_rule}.audiences[]": (token(), token(audiences=["bank"])),
        f"{token_rule}.jwks": (token(), token(jwks=KEYS[1])),
        f"{token_rule}.fromHeaders[].name": (
            token(),
            token(fromHeaders=[{"name": "x-b", "prefix": "Token "}]),
        ),
        f"{token_rule}.fromHeaders[].prefix": (token(), token(fromHeaders=[{"name": "x-token"}])),
        f"{token_rule}.fromParams[]": (token(), token(fromParams=["b"])),
        f"{token_rule}.fromCookies[]": (token(), token(fromCookies=["b"])),
        f"{token_rule}.outputPayloadToHeader": (token(), token(outputPayloadToHeader="x-b")),
        f"{token_rule}.outputClaimToHeaders[].header": (
            token(),
            token(outputClaimToHeaders=[{"header": "x-b", "claim": "sub"}]),
        ),
        f"{token_rule}.outputClaimToHeaders[].claim": (
            token(),
            token(outputClaimToHeaders=[{"header": "x-who", "claim": "b"}]),
        ),
        f"{token_rule}.forwardOriginalToken": (token(), token(forwardOriginalToken=True)),
        f"{token_rule}.spaceDelimitedClaims[]": (token(), token(spaceDelimitedClaims=["b"])),
        f"{token_rule}.jwksUri": (
            {"jwtRules": [FETCHED]},
            {"jwtRules": [{**FETCHED, "jwksUri": "https://b.example/keys"}]},
        ),
        f"{token_rule}.timeout": ({"jwtRules": [FETCHED]}, {"jwtRules": [{**FETCHED, "timeout": "1s"}]}),
    }
    for kind, spec in zip(KINDS, ({"rules": [{}]}, {"mtls": {"mode": "STRICT"}}, token()), strict=True):
        found[f"{kind} spec.selector.matchLabels[]"] = (selecting("shop", spec), selecting("bank", spec))
    for place, part, fields in (("from", "source", SOURCES), ("to", "operation", OPERATIONS)):
        for name, values in fields.items():
            for field in (name, f"not{name[0].upper()}{name[1:]}"):
                one, other = ({"rules": [{place: [{part: {field: [value]}}]}]} for value in values)
                found[f"{AUTHORIZATION}.{place}[].{part}.{field}[]"] = (one, other)
    return found


REMOTE = {"key": "remote.ip", "values": ["10.0.0.0/8"]}
PAIRS = pairs()


def config_of(kind: str, spec: dict[str, Any]) -> tuple[Config[Any], list[str]]:
    """Return a policy as the mesh reads it, and the paths that diagnostics are about."""
    head = {"apiVersion": "security.istio.io/v1", "metadata": {"name": "p", "namespace": "default"}}
    text = json.dumps({**head, "kind": kind, "spec": spec})
    config, found = to_config(parse_documents(text.encode(), "policy.json").documents[0])
    assert config is not None, found
    return config, [each.path for each in found if each.code == "MZ0001"]


def sent(kind: str, spec: dict[str, Any]) -> tuple[Any, Any]:
    """Return what the workload is sent with one policy, and which keys are fetched for it."""
    read = [to_config(document)[0] for document in parse_documents(MESH.encode(), "mesh.yaml").documents]
    configs = [*filter(None, read), config_of(kind, spec)[0]]
    mesh_config = MeshConfig.model_validate({"extensionProviders": PROVIDERS})
    mesh = Mesh.build(configs, mesh_config, certificates_served=True)
    fetched = wanted_sources(mesh.configs(REQUEST_AUTHENTICATION))
    return mizzen.translate(mesh, PROXY).as_dict(), fetched


def test_no_field_is_forgotten() -> None:
    served = {
        f"{kind} {leaf.path}"
        for kind in KINDS
        for leaf in leaf_fields(SPECS[kind])
        if not any(leaf.path.startswith(unserved) for unserved in UNSERVED[kind])
    }
    assert served == PAIRS.keys()


@pytest.mark.parametrize("field", PAIRS)
def test_it_changes_what_is_sent(field: str) -> None:
    kind = field.partition(" ")[0]
    one, other = (sent(kind, spec) for spec in PAIRS[field])
    assert one != other


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "RequestAuthentication"])
@pytest.mark.parametrize("field", ["targetRef", "targetRefs"])
def test_a_field_without_effect_is_named(kind: str, field: str) -> None:
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    spec: dict[str, Any] = {field: target if field == "targetRef" else [target]}
    if kind == "AuthorizationPolicy":
        spec["rules"] = [{}]
    assert config_of(kind, spec)[1] == [f"spec.{field}"]
