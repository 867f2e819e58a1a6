"""Security policies of any content: what is accepted is translated, and an ALLOW policy always filters."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

import mizzen
from mizzen.config import ConfigStore, MeshConfig, parse_documents
from mizzen.config.group_kinds import AUTHORIZATION_POLICY
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls

STORE = (
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "store", "namespace": "shop"},
        "spec": {
            "selector": {"app": "store"},
            "ports": [{"name": "http", "port": 80}, {"name": "tcp", "port": 90}],
        },
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": "store", "namespace": "shop"},
        "spec": {"address": "10.0.0.7", "labels": {"app": "store"}, "serviceAccount": "store"},
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": "shop"},
        "spec": {
            "selector": {"app": "store"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    },
)
PROXIES = tuple(
    mizzen.Proxy.from_node(
        {
            "id": f"{kind}~10.0.0.7~store.shop~shop.svc.cluster.local",
            "metadata": {"NAMESPACE": "shop", "LABELS": {"app": "store"}},
        }
    )
    for kind in ("sidecar", "router")
)

texts = st.sampled_from(
    [
        *[
            "*",
            "a",
            "*a",
            "a*",
            "a*b",
            "/a",
            "/{*}",
            "/{**}",
            "/{*}/b/{**}",
            "{",
            "[",
            "\\",
            "GET",
            "80",
            "0",
            "65536",
            "shop",
            "shop/store",
            "a.example:80",
        ],
        *[
            "10.0.0.0/8",
            "10.0.0.1",
            "::1",
            "fe80::/10",
            "1.1.1.1/33",
            "cluster.local/ns/shop/sa/store",
            "spiffe://x/ns/a/sa/b",
        ],
        *("", "line\nbreak", "\u00e9", "x" * 300),
    ]
)
some = st.lists(texts, max_size=3)
keys = st.sampled_from(
    [
        *[
            "request.headers[x]",
            "request.headers[]",
            "request.headers[x",
            "source.ip",
            "remote.ip",
            "source.namespace",
        ],
        *["source.principal", "source.serviceAccount", "request.auth.principal", "request.auth.audiences"],
        *["request.auth.claims[a]", "request.auth.claims[a][b]", "request.auth.claims[", "destination.ip"],
        *("destination.port", "connection.sni", "experimental.envoy.filters.a[b]", "nonsense", ""),
    ]
)


def parts(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """A message with some of these fields, each a list of texts."""
    return st.dictionaries(st.sampled_from(names), some, max_size=3)


def both(*names: str) -> tuple[str, ...]:
    return (*names, *(f"not{name[0].upper()}{name[1:]}" for name in names))


sources = parts(
    *both("principals", "requestPrincipals", "namespaces", "ipBlocks", "remoteIpBlocks", "serviceAccounts")
)
operations = parts(*both("hosts", "ports", "methods", "paths"))
conditions = st.fixed_dictionaries({"key": keys}, optional={"values": some, "notValues": some})
rules = st.fixed_dictionaries(
    {},
    optional={
        "from": st.lists(st.fixed_dictionaries({"source": sources}), max_size=2),
        "to": st.lists(st.fixed_dictionaries({"operation": operations}), max_size=2),
        "when": st.lists(conditions, max_size=2),
    },
)
selectors = st.sampled_from(({}, {"selector": {"matchLabels": {"app": "store"}}}))
authorizations = st.fixed_dictionaries(
    {"action": st.sampled_from(("ALLOW", "DENY", "AUDIT")), "rules": st.lists(rules, max_size=3)}
)
modes = st.sampled_from(("UNSET", "DISABLE", "PERMISSIVE", "STRICT", "strict", 1)).map(lambda m: {"mode": m})
peers = st.fixed_dictionaries(
    {},
    optional={
        "mtls": modes,
        "portLevelMtls": st.dictionaries(st.sampled_from((80, 90, 0, 70000, "a")), modes, max_size=2),
    },
)
jwks = st.sampled_from(
    [
        '{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA","kid":"1"}]}',
        '{"keys":[{"kty":"oct","k":"YQ"}]}',
        *['{"kty":"RSA","n":"AQAB","e":"AQAB"}', '{"keys":[]}', "{", "[]"],
        "",
    ]
)
headers = st.fixed_dictionaries({"name": texts}, optional={"prefix": texts})
jwt_rules = st.fixed_dictionaries(
    {"issuer": texts},
    optional={
        "jwks": jwks,
        "jwksUri": st.sampled_from(("https://a.example/keys", "http://[", "file:///etc/passwd")),
        "audiences": some,
        "fromHeaders": st.lists(headers, max_size=2),
        "fromParams": some,
        "fromCookies": some,
        "outputPayloadToHeader": texts,
        "outputClaimToHeaders": st.lists(
            st.fixed_dictionaries({"header": texts, "claim": texts}), max_size=2
        ),
        "forwardOriginalToken": st.booleans(),
        "timeout": st.sampled_from(("5s", "0s", "-1s", "x")),
    },
)
requests = st.fixed_dictionaries({"jwtRules": st.lists(jwt_rules, max_size=3)})
policies = st.one_of(
    st.tuples(st.just("AuthorizationPolicy"), authorizations),
    st.tuples(st.just("PeerAuthentication"), peers),
    st.tuples(st.just("RequestAuthentication"), requests),
)
annotations = st.sampled_from(({}, {"istio.io/dry-run": "true"}))


@given(drawn=st.lists(st.tuples(policies, selectors, annotations), min_size=1, max_size=4))
def test_what_is_accepted_is_translated(drawn: list[Any]) -> None:
    """Nothing raises, and whoever is allowed by a policy is asked by a filter in each HTTP chain."""
    documents = [*STORE]
    for number, ((kind, spec), selector, annotated) in enumerate(drawn):
        metadata = {"name": f"p{number}", "namespace": "shop", "annotations": annotated}
        spec = {**selector, **spec}
        documents.append(
            {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
        )
    store = ConfigStore()
    store.apply(
        {
            f"{number}.json": parse_documents(json.dumps(one).encode(), f"{number}.json")
            for number, one in enumerate(documents)
        }
    )
    mesh = Mesh.build(store.configs(), MeshConfig(), certificates_served=True)
    in_force = [
        each
        for each in mesh.configs(AUTHORIZATION_POLICY)
        if each.spec.action == "ALLOW" and not each.annotations.get("istio.io/dry-run")
    ]
    event(f"{len(list(store.configs())) - len(STORE)} of {len(drawn)} in force")
    translation = Translation(mesh)
    for proxy in PROXIES:
        listeners = translation.snapshot(proxy).collection(type_urls.LISTENER).resources
        if not in_force:
            continue
        for name, listener in listeners.items():
            if name == "virtualInbound" or proxy.type == "router":
                assert b"envoy.filters.http.rbac" in bytes(listener.value), name
