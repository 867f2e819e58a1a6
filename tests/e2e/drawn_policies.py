"""Drawn AuthorizationPolicies and RequestAuthentications, and calls that they judge."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mizzen.simulate import Call, Capture, ClientTls, Outcome
from tests.e2e.drawn_calls import Drawn

_CALLS: Final = 250
_ISSUERS: Final = ("https://one.example", "two@example.com")
_KEYS: Final = {
    "one": ("ES256", ec.generate_private_key(ec.SECP256R1())),
    "two": ("RS256", rsa.generate_private_key(65537, 2048)),
    "three": ("ES384", ec.generate_private_key(ec.SECP384R1())),
}
_DISTANT: Final = 4_000_000_000
_PATHS: Final = (
    "/",
    "/shop",
    "/shop/cart",
    "/shops/1/items/2/3",
    "/shops/1/2/items",
    "/a/../secret",
    "/secret",
    "/secret%2Fx",
    "/api/v1;x=1",
    "/shop/cart.html",
    "/shops/a%20b/items",
)
_QUERIES: Final = ("", "", "?page=1", "?access_token=nothing&page=2", "?b=2&a=1")
IDENTITIES: Final = (
    "spiffe://cluster.local/ns/shop/sa/web",
    "spiffe://cluster.local/ns/bank/sa/job",
    "spiffe://cluster.local/ns/shop/sa/cart",
)


def secured_gateway(seed: object) -> Drawn:
    """Draw a gateway with policies, and requests with tokens."""
    random = Random(f"secured gateway {seed}")
    selector = {"matchLabels": {"istio": "edge"}}
    routes = [
        {"match": [{"headers": {"@request.auth.claims.groups": {"exact": "admins"}}}], "name": "admins"},
        {"match": [{"headers": {"x-who": {"exact": "jason"}}}], "name": "jason"},
        {"match": [{"uri": {"prefix": "/shop"}}], "name": "shop"},
    ]
    for route in routes:
        status = random.choice((200, 404, 418))
        route |= random.choice(({"directResponse": {"status": status}}, {"redirect": {"uri": "/moved"}}))
    documents = [
        _document(
            "Gateway",
            "edge",
            "networking.istio.io/v1",
            selector={"istio": "edge"},
            servers=[{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        ),
        _document(
            "VirtualService",
            "routes",
            "networking.istio.io/v1",
            hosts=["shop.example", "*.test"],
            gateways=["edge"],
            http=[*routes, {"name": "rest", "directResponse": {"status": 202}}],
        ),
        *_policies(random, selector, with_tokens=True),
    ]
    node = {
        "id": "router~10.0.0.99~edge-1.shop~shop.svc.cluster.local",
        "metadata": {
            "NAMESPACE": "shop",
            "LABELS": {"istio": "edge"},
            "PROXY_CONFIG": {"gatewayTopology": {"numTrustedProxies": random.randint(0, 2)}},
        },
    }
    calls = [_request(random, 80, "127.0.0.1", Capture.NONE, None) for _ in range(_CALLS)]
    return Drawn(documents, node, calls, frozenset({Outcome.FAILED}))


def secured_sidecar(seed: object) -> Drawn:
    """Draw a captured sidecar with mutual TLS and policies, and calls by clients with certificates."""
    random = Random(f"secured sidecar {seed}")
    selector = {"matchLabels": {"app": "orders"}}
    ports = [
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "tcp", "port": 90, "targetPort": 9090},
        {"name": "unknown", "port": 70, "targetPort": 7070},
    ]
    documents = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {"selector": {"app": "orders"}, "clusterIP": "10.1.0.1", "ports": ports},
        },
        _document(
            "WorkloadEntry",
            "orders-1",
            "networking.istio.io/v1",
            address="10.0.0.7",
            labels={"app": "orders"},
            serviceAccount="orders",
        ),
        _document("PeerAuthentication", "peers", mtls={"mode": random.choice(("PERMISSIVE", "STRICT"))}),
        *_policies(random, selector, with_tokens=random.random() < 0.7),
    ]
    node = {
        "id": "sidecar~10.0.0.7~orders-1.shop~shop.svc.cluster.local",
        "metadata": {"NAMESPACE": "shop", "LABELS": {"app": "orders"}},
    }
    calls = []
    for _ in range(_CALLS):
        port = random.choice((8080, 8080, 8080, 9090, 7070))
        tls = None
        if random.random() < 0.7:
            name = random.choice(("outbound_.80_._.orders.shop.svc.cluster.local", "shop.example", ""))
            offered = random.choice(
                (("istio",), ("istio-http/1.1", "istio"), ("istio-peer-exchange", "istio"))
            )
            identity = random.choice((*IDENTITIES, None))
            tls = ClientTls(name, offered, identity is not None, (identity,) if identity else ())
        call = _request(random, port, "10.0.0.7", Capture.INBOUND, tls)
        calls.append(call)
    return Drawn(documents, node, calls, frozenset({Outcome.FAILED}))


def _policies(random: Random, selector: dict[str, Any], *, with_tokens: bool) -> list[dict[str, Any]]:
    found = []
    captured = "app" in selector["matchLabels"]
    for index in range(random.randint(1, 4)):
        action = random.choice(("ALLOW", "ALLOW", "DENY", "DENY", "AUDIT"))
        rules = [_rule(random, captured=captured) for _ in range(random.randint(1, 4))]
        if action == "ALLOW" and random.random() < 0.1:
            rules = []
        made = _document("AuthorizationPolicy", f"p{index}", selector=selector, action=action, rules=rules)
        if random.random() < 0.2 and action != "AUDIT":
            made["metadata"]["annotations"] = {"istio.io/dry-run": "true"}
        found.append(made)
    if with_tokens:
        # Of two rules for one issuer Envoy lets either decide with which status a token is refused.
        rules = [_token_rule(random, issuer) for issuer in random.sample(_ISSUERS, random.randint(1, 2))]
        for index, rule in enumerate(rules):
            found.append(_document("RequestAuthentication", f"t{index}", selector=selector, jwtRules=[rule]))
    return found


def _rule(random: Random, *, captured: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    if random.random() < 0.6:
        rule["from"] = [{"source": _fields(random, _SOURCES[captured])} for _ in range(random.randint(1, 2))]
    if random.random() < 0.7:
        rule["to"] = [{"operation": _fields(random, _OPERATIONS)} for _ in range(random.randint(1, 2))]
        if captured and random.random() < 0.4:
            rule["to"][0]["operation"]["ports"] = random.sample(("8080", "9090", "7070"), 2)
    if random.random() < 0.5:
        rule["when"] = []
        for key, values in random.sample(_CONDITIONS[captured], random.randint(1, 2)):
            name = random.choice(("values", "values", "notValues"))
            rule["when"].append({"key": key, name: random.sample(values, random.randint(1, len(values)))})
    return rule


def _fields(random: Random, known: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, Any]:
    found = {}
    for name, values in random.sample(known, random.randint(1, 2)):
        negated = f"not{name[0].upper()}{name[1:]}"
        field = random.choice((name, name, name, negated))
        found[field] = random.sample(values, random.randint(1, min(2, len(values))))
    accounts = [field for field in found if field.lower().endswith("serviceaccounts")]
    # They may not stand beside names that say more.
    return {field: found[field] for field in accounts} or found


_REQUEST_SOURCES: Final = (
    ("requestPrincipals", ("https://one.example/jason", "*", "two@example.com/*", "*/mary")),
    ("remoteIpBlocks", ("203.0.113.0/24", "198.51.100.7", "127.0.0.0/8", "192.0.2.0/24")),
)
_SOURCES: Final = {
    False: (*_REQUEST_SOURCES, ("ipBlocks", ("127.1.3.0/24", "127.1.4.0/25", "203.0.113.0/24"))),
    True: (
        *_REQUEST_SOURCES,
        (
            "principals",
            ("cluster.local/ns/shop/sa/web", "*/sa/job", "*", "cluster.local/ns/*", "old.example/*"),
        ),
        ("namespaces", ("shop", "ba*", "*")),
        ("serviceAccounts", ("web", "bank/job")),
        ("trustDomains", ("old.example", "cluster.local", "*")),
    ),
}
_OPERATIONS: Final = (
    ("hosts", ("shop.example", "*.test", "SHOP.*", "*")),
    ("methods", ("GET", "POST", "DEL*")),
    ("paths", ("/shop", "/shop*", "*.html", "/shops/{*}/items/{**}", "/secret", "/{**}/cart", "*")),
)
_REQUEST_CONDITIONS: Final = (
    ("request.headers[x-user]", ("jason", "ma*", "*", "*y")),
    ("request.headers[x-who]", ("jason",)),
    ("request.auth.audiences", ("shop", "bank")),
    ("request.auth.presenter", ("robot", "*")),
    ("request.auth.principal", ("*/jason", "https://one.example/*")),
    ("request.auth.claims[groups]", ("admins", "users")),
    ("request.auth.claims[scope]", ("read", "write")),
    ("request.auth.claims[realm][roles]", ("ops", "d*")),
    ("request.auth.claims[level]", ("*",)),
    ("remote.ip", ("203.0.113.9", "127.0.0.0/8", "198.51.100.0/24")),
)
_CONDITIONS: Final = {
    False: (*_REQUEST_CONDITIONS, ("source.ip", ("127.1.3.0/25", "127.1.4.0/24"))),
    True: (
        *_REQUEST_CONDITIONS,
        ("destination.ip", ("10.0.0.0/8", "10.0.0.8")),
        ("destination.port", ("8080", "9090")),
        ("connection.sni", ("shop.example", "outbound_*", "*")),
        ("source.namespace", ("shop", "bank")),
        ("source.principal", ("cluster.local/ns/shop/sa/web", "*/sa/web")),
    ),
}


def _token_rule(random: Random, issuer: str) -> dict[str, Any]:
    names = random.sample(sorted(_KEYS), random.randint(1, 2))
    rule: dict[str, Any] = {
        "issuer": issuer,
        "jwks": json.dumps({"keys": [_public(random, name) for name in names]}),
    }
    if random.random() < 0.4:
        rule["audiences"] = random.sample(("shop", "https://shop.example/", "bank"), random.randint(1, 2))
    if random.random() < 0.2:
        rule["fromHeaders"] = [{"name": "x-token", "prefix": random.choice(("", "Token "))}]
    if random.random() < 0.2:
        rule["fromParams"] = ["token"]
    if random.random() < 0.1:
        rule["fromCookies"] = ["session"]
    if random.random() < 0.3:
        rule["forwardOriginalToken"] = True
    if random.random() < 0.3:
        rule["outputClaimToHeaders"] = [{"header": "x-who", "claim": "sub"}]
    return rule


def _public(random: Random, name: str) -> dict[str, Any]:
    algorithm, key = _KEYS[name]
    made: Callable[..., Any] = jwt.get_algorithm_by_name(algorithm).to_jwk
    public = json.loads(made(key.public_key()))
    public.pop("key_ops", None)
    if random.random() < 0.6:
        public["kid"] = name
    if random.random() < 0.3:
        public["alg"] = algorithm
    return dict(public)


def _token(random: Random) -> str:
    if random.random() < 0.08:
        return random.choice(("a.b.c", "nothing", "eyJhbGciOiJub25lIn0.e30."))
    name = random.choice(sorted(_KEYS))
    algorithm, key = _KEYS[name]
    issuers = (*_ISSUERS, *_ISSUERS, "nobody@example.com")
    claims: dict[str, Any] = {"iss": random.choice(issuers), "sub": random.choice(("jason", "mary"))}
    if random.random() < 0.6:
        claims["aud"] = random.choice(("shop", ["bank", "shop"], "http://shop.example", "bank"))
    if random.random() < 0.5:
        claims["exp"] = random.choice((_DISTANT, _DISTANT, 1_000_000_000))
    if random.random() < 0.1:
        claims["nbf"] = random.choice((_DISTANT, 1_000_000_000))
    more = {
        "groups": random.choice((["admins", "users"], "users", "admins", [])),
        "scope": random.choice(("read write", "read")),
        "realm": {"roles": random.choice((["ops"], "dev"))},
        "azp": random.choice(("robot", "page")),
        "level": random.choice((7, True, "high")),
    }
    for field in random.sample(sorted(more), random.randint(0, 4)):
        claims[field] = more[field]
    headers = {"kid": random.choice((name, name, "other"))} if random.random() < 0.6 else None
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def _request(random: Random, port: int, address: str, capture: Capture, tls: ClientTls | None) -> Call:
    path = random.choice(_PATHS) + random.choice(_QUERIES)
    known = (
        ("x-user", random.choice(("jason", "mary", ""))),
        ("x-who", random.choice(("jason", "mary"))),
        (
            "x-forwarded-for",
            random.choice(("203.0.113.9", "198.51.100.7, 203.0.113.9", "x, 198.51.100.7", "?")),
        ),
        ("origin", "https://shop.example"),
        ("access-control-request-method", "PUT"),
    )
    headers = random.sample(known, random.randint(0, 3))
    for _ in range(random.choice((0, 1, 1, 1, 2))):
        token = _token(random)
        match random.randrange(8):
            case 0:
                headers.append(("x-token", random.choice((token, f"Token {token}"))))
            case 1:
                path += f"{'&' if '?' in path else '?'}token={token}"
            case 2:
                headers.append(("cookie", f"a=b; session={token}"))
            case 3:
                path += f"{'&' if '?' in path else '?'}access_token={token}"
            case _:
                headers.append(("authorization", random.choice((f"Bearer {token}",) * 4 + (token,))))
    return Call(
        port=port,
        address=address,
        capture=capture,
        tls=tls,
        method=random.choice(("GET", "GET", "POST", "DELETE", "OPTIONS")),
        authority=random.choice(
            ("shop.example", "SHOP.example", "x.test", "nobody.example", "shop.example:80")
        ),
        path=path,
        headers=tuple(headers),
        moment=time.time(),
    )


def _document(kind: str, name: str, version: str = "security.istio.io/v1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    }
