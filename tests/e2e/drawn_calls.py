"""Drawn meshes and calls on one proxy of them: the same for the same seed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from random import Random
from typing import Any

from mizzen.simulate import Call, Capture, ClientTls, Outcome, Protocol
from tests.e2e.drawn_rules import destination, document, http_rules
from tests.self_signed import certificate_and_key

_CALLS = 150
_PATHS = (
    "/",
    "/shop",
    "/shop/",
    "/shop/cart",
    "/Shop/Cart",
    "/api/v1/items",
    "/api/v2",
    "/a/../shop",
    "/./api/v1",
    "//shop",
    "/shop%2Fcart",
    "/api/v1/items/7",
    "/shopping",
    "/caf%C3%A9",
    "/static/%7Ejoe/x.css",
    "/a/%2e%2e/api/v2",
)
_QUERIES = ("", "", "", "?page=1", "?page=2&sort=up", "?sort=", "?debug", "?page=1&page=2")
_HEADERS = (
    ("x-user", "jason"),
    ("x-user", "anna"),
    ("x-user", ""),
    ("x-version", "canary"),
    ("x-version", "canary-2"),
    ("X-Tag", "a"),
    ("x-tag", "b"),
    ("cookie", "session=1; beta=yes"),
    ("content-type", "application/grpc"),
    ("x-forwarded-proto", "https"),
    ("origin", "https://shop.example"),
    ("access-control-request-method", "PUT"),
)
_PROTOCOLS = (*[Protocol.HTTP1] * 6, Protocol.HTTP2, Protocol.HTTP2, Protocol.HTTP10, Protocol.TCP)
_METHODS = ("GET", "GET", "GET", "POST", "OPTIONS", "DELETE")

_GATEWAY_AUTHORITIES = (
    "shop.example",
    "SHOP.example",
    "www.shop.example",
    "a.b.shop.example",
    "api.example",
    "x.example",
    "secure.example",
    "shop.example:80",
    "nobody.test",
    "api.example:8080",
    ".shop.example",
)
_GATEWAY_SERVER_NAMES = (
    "shop.example",
    "www.shop.example",
    "API.example",
    "db.example",
    "x.db.example",
    "nobody.test",
    "",
)
_SIDECAR_AUTHORITIES = (
    "orders",
    "orders:80",
    "orders.default",
    "reviews.default.svc.cluster.local",
    "Reviews",
    "10.1.0.1",
    "www.outside.example",
    "a.wild.example",
    "wild.example",
    "nobody.test",
    "db.outside.example",
    "reviews:9080",
    "10.1.0.2:80",
)
_SIDECAR_ADDRESSES = ("10.1.0.1", "10.1.0.2", "10.1.0.3", "10.8.1.1", "10.8.7.1", "192.0.2.80")
_SIDECAR_SERVER_NAMES = ("www.outside.example", "A.wild.example", "wild.example", "nobody.test", "")


@dataclass(frozen=True)
class Drawn:
    """Documents of a mesh, the node of a proxy in it, and calls on that proxy. `outcomes` are those that such
    calls must have, to prove something."""

    documents: list[dict[str, Any]]
    node: dict[str, Any]
    calls: list[Call]
    outcomes: frozenset[Outcome] = frozenset({Outcome.FORWARDED, Outcome.ANSWERED, Outcome.FAILED})


def gateway(seed: int) -> Drawn:
    """Draw a gateway with plain HTTP, HTTPS, passthrough and TCP servers."""
    random = Random(f"gateway {seed}")
    documents = [*_gateway_servers(), *_services(random), *_gateway_connection_rules()]
    for index, names in enumerate((["shop.example"], ["*.shop.example", "api.example"], ["*.example"])):
        spec = {"hosts": names, "gateways": ["edge"], "http": http_rules(random)}
        documents.append(document("VirtualService", f"rules-{index}", spec=spec))
    node = {
        "id": "router~10.0.0.99~edge-1.default~default.svc.cluster.local",
        "metadata": {"NAMESPACE": "default", "LABELS": {"istio": "edge"}},
    }
    return Drawn(documents, node, [_gateway_call(random) for _ in range(_CALLS)])


def _gateway_servers() -> list[dict[str, Any]]:
    hosts = ["shop.example", "*.shop.example", "api.example", "*.example", "secure.example"]
    certificate, key = certificate_and_key()
    return [
        document(
            "Secret",
            "shop",
            "v1",
            type="kubernetes.io/tls",
            stringData={"tls.crt": certificate, "tls.key": key},
        ),
        document(
            "Gateway",
            "edge",
            spec={
                "selector": {"istio": "edge"},
                "servers": [
                    _server(80, "HTTP", hosts[:4]),
                    _server(80, "HTTP", ["secure.example"], name="secure", tls={"httpsRedirect": True}),
                    _server(
                        443,
                        "HTTPS",
                        ["shop.example", "*.shop.example"],
                        tls={"mode": "SIMPLE", "credentialName": "shop"},
                    ),
                    _server(
                        443,
                        "HTTPS",
                        ["api.example"],
                        name="api",
                        tls={"mode": "SIMPLE", "credentialName": "shop"},
                    ),
                    _server(
                        443, "TLS", ["db.example", "*.db.example"], name="db", tls={"mode": "PASSTHROUGH"}
                    ),
                    _server(9000, "TCP", ["*"]),
                ],
            },
        ),
    ]


def _gateway_connection_rules() -> list[dict[str, Any]]:
    return [
        document(
            "VirtualService",
            "db",
            spec={
                "hosts": ["db.example", "*.db.example"],
                "gateways": ["edge"],
                "tls": [
                    {
                        "match": [{"port": 443, "sniHosts": ["db.example"]}],
                        "route": [destination("orders", 80)],
                    },
                    {
                        "match": [{"port": 443, "sniHosts": ["*.db.example"]}],
                        "route": [destination("reviews", 80)],
                    },
                ],
            },
        ),
        document(
            "VirtualService",
            "tcp",
            spec={
                "hosts": ["*"],
                "gateways": ["edge"],
                "tcp": [{"match": [{"port": 9000}], "route": [destination("orders", 80)]}],
            },
        ),
    ]


def _gateway_call(random: Random) -> Call:
    port = random.choice((80, 80, 80, 443, 443, 9000))
    tls = None
    if port == 443 and random.random() < 0.9:
        name = random.choice(_GATEWAY_SERVER_NAMES)
        tls = ClientTls(name, ("http/1.1",) if random.random() < 0.5 else ())
    return _call(random, port, "127.0.0.1", Capture.NONE, _GATEWAY_AUTHORITIES, tls)


def sidecar(seed: int) -> Drawn:
    """Draw a captured sidecar with HTTP, TCP, TLS and undeclared ports."""
    random = Random(f"sidecar {seed}")
    documents = [*_services(random), *_services_outside()]
    documents.extend(
        document("VirtualService", name, spec={"hosts": [name], "http": http_rules(random)})
        for name in ("orders", "reviews")
    )
    if random.random() < 0.5:
        documents.append(
            document("VirtualService", "wild", spec={"hosts": ["*.wild.example"], "http": http_rules(random)})
        )
    node = {
        "id": "sidecar~10.0.0.7~orders-1.default~default.svc.cluster.local",
        "metadata": {"NAMESPACE": "default", "LABELS": {"app": "orders", "version": "v1"}},
    }
    return Drawn(documents, node, [_sidecar_call(random) for _ in range(_CALLS)])


def _services_outside() -> list[dict[str, Any]]:
    return [
        document(
            "ServiceEntry",
            "outside",
            spec={
                "hosts": ["www.outside.example", "*.wild.example"],
                "location": "MESH_EXTERNAL",
                "resolution": "NONE",
                "ports": [
                    {"number": 80, "name": "http", "protocol": "HTTP"},
                    {"number": 443, "name": "tls", "protocol": "TLS"},
                ],
            },
        ),
        document(
            "ServiceEntry",
            "database",
            spec={
                "hosts": ["db.outside.example"],
                "addresses": ["10.8.0.0/16"],
                "resolution": "STATIC",
                "ports": [
                    {"number": 5432, "name": "tcp", "protocol": "TCP"},
                    {"number": 80, "name": "http", "protocol": "HTTP"},
                ],
                "endpoints": [{"address": "10.9.0.9"}],
            },
        ),
        document(
            "ServiceEntry",
            "replica",
            spec={
                "hosts": ["replica.outside.example"],
                "addresses": ["10.8.7.0/24"],
                "resolution": "STATIC",
                "ports": [{"number": 5432, "name": "tcp", "protocol": "TCP"}],
                "endpoints": [{"address": "10.9.0.8"}],
            },
        ),
    ]


def _sidecar_call(random: Random) -> Call:
    tls = None
    if random.random() < 0.25:
        name = random.choice(_SIDECAR_SERVER_NAMES)
        tls = ClientTls(name, ("http/1.1",) if random.random() < 0.5 else ())
    if random.random() < 0.2:
        port = random.choice((8080, 9090, 7777, 15006, 7000))
        return _call(random, port, "10.0.0.7", Capture.INBOUND, _SIDECAR_AUTHORITIES, tls)
    port = random.choice((80, 80, 80, 9080, 443, 5432, 9000, 7000, 15001))
    address = random.choice(_SIDECAR_ADDRESSES)
    return _call(random, port, address, Capture.OUTBOUND, _SIDECAR_AUTHORITIES, tls)


def uncaptured(seed: int) -> Drawn:
    """Draw a sidecar that listens where clients connect to it."""
    drawn = sidecar(seed)
    random = Random(f"uncaptured {seed}")
    node = {**drawn.node, "metadata": {**drawn.node["metadata"], "INTERCEPTION_MODE": "NONE"}}
    listeners = [
        _listener(80, "HTTP", bind="127.0.0.1", hosts=["*/*"]),
        _listener(3128, "HTTP_PROXY", bind="127.0.0.1", hosts=["*/*"]),
        _listener(9000, "TCP", bind="127.0.0.1", hosts=["./queue.default.svc.cluster.local"]),
    ]
    spec = {
        "workloadSelector": {"labels": {"app": "orders"}},
        "egress": listeners,
        "ingress": [_listener(8080, "HTTP", bind="127.0.0.1", defaultEndpoint="127.0.0.1:8081")],
    }
    calls = [
        dataclasses.replace(
            call,
            capture=Capture.NONE,
            address="127.0.0.1",
            port=(port := random.choice((80, 80, 80, 3128, 9000, 8080, 81))),
            path=f"http://{call.authority}{call.path}" if port == 3128 else call.path,
            protocol=Protocol.HTTP1 if port == 3128 else call.protocol,
        )
        for call in drawn.calls
    ]
    return Drawn([*drawn.documents, document("Sidecar", "own", spec=spec)], node, calls)


def _listener(number: int, protocol: str, **more: Any) -> dict[str, Any]:
    port = {"number": number, "name": f"{protocol.lower().replace('_', '-')}-{number}", "protocol": protocol}
    return {"port": port, "captureMode": "NONE", **more}


def _services(random: Random) -> list[dict[str, Any]]:
    documents = []
    named = {"orders": "10.1.0.1", "reviews": "10.1.0.2", "queue": "10.1.0.3"}
    for name, address in named.items():
        documents.append(
            document(
                "Service",
                name,
                "v1",
                spec={
                    "selector": {"app": name},
                    "clusterIP": address,
                    "ports": [
                        {"name": "http" if name != "queue" else "tcp", "port": 80, "targetPort": 8080},
                        {"name": "unknown", "port": 7000},
                        {"name": "tcp-queue", "port": 9000, "targetPort": 9090},
                        *(
                            [{"name": "http-other", "port": 9080, "targetPort": 8080}]
                            if name == "reviews"
                            else ()
                        ),
                    ],
                },
            )
        )
        if name != "queue":
            documents.append(
                document(
                    "DestinationRule",
                    name,
                    spec={
                        "host": name,
                        "subsets": [{"name": each, "labels": {"version": each}} for each in ("v1", "v2")],
                    },
                )
            )
    for name, address, version in (
        ("orders", "10.0.0.7", "v1"),
        ("orders", "10.0.0.8", "v2"),
        ("reviews", "10.0.0.9", "v1"),
    ):
        documents.append(
            document(
                "WorkloadEntry",
                f"{name}-{version}",
                spec={
                    "address": address,
                    "labels": {"app": name, "version": version},
                },
            )
        )
    random.shuffle(documents)
    return documents


def _call(
    random: Random,
    port: int,
    address: str,
    capture: Capture,
    authorities: tuple[str, ...],
    tls: ClientTls | None,
) -> Call:
    return Call(
        port=port,
        address=address,
        capture=capture,
        protocol=random.choice(_PROTOCOLS),
        tls=tls,
        method=random.choice(_METHODS),
        authority=random.choice(authorities),
        path=random.choice(_PATHS) + random.choice(_QUERIES),
        headers=tuple(random.sample(_HEADERS, random.randint(0, 3))),
    )


def _server(number: int, protocol: str, hosts: list[str], *, name: str = "", **more: Any) -> dict[str, Any]:
    return {
        "port": {"number": number, "name": name or f"{protocol.lower()}-{number}", "protocol": protocol},
        "hosts": hosts,
        **more,
    }
