"""The few names that drawn documents share, so that they meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st

NETWORKING = "networking.istio.io/v1"
SECURITY = "security.istio.io/v1"
CORE = "v1"

NAMESPACES = ("default", "shop", "istio-system")
LABELS: tuple[dict[str, str], ...] = (
    {"app": "a", "version": "v1"},
    {"app": "a", "version": "v2"},
    {"app": "b", "version": "v1"},
    {"app": "a", "istio": "gw"},
    {"istio": "edge"},
)
NETWORK_LABEL = "topology.istio.io/network"
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "2001:db8::4")
VIRTUAL_ADDRESSES = ("10.1.0.1", "10.1.0.2", "10.1.0.0/24", "240.240.17.1", "2001:db8:1::1")
# The first two contest one slot of the automatic addresses; the others are where an address would end in 0,
# which moves those of all that follow.
ALLOCATED = ("h138.example", "h2145.example", "h2742.example", "h23.example")
HOSTS = (
    "a.default.svc.cluster.local",
    "b.shop.svc.cluster.local",
    "x.example",
    "y.example",
    "a",
    *ALLOCATED,
)
WILDCARDS = ("*.example", "*.default.svc.cluster.local", "*.local", "*")
CALLED = (*HOSTS, "a.shop.svc.cluster.local", "b.default.svc.cluster.local", "missing.example", "b")
EXPORTS: tuple[tuple[str, ...], ...] = (
    (),
    (),
    (".",),
    ("*",),
    ("~",),
    ("shop",),
    (".", "shop"),
    ("default", "shop"),
)

labels = st.sampled_from(LABELS)
names = st.sampled_from(("one", "two"))
localities = st.sampled_from(("", "", "eu/eu-1/a", "eu/eu-2/a", "us/us-1/a"))
networks = st.sampled_from(("", "", "east", "west"))


def document(kind: str, group: str, namespace: str, name: str, **body: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, **body.pop("metadata", {})}
    return {"apiVersion": group, "kind": kind, "metadata": {k: v for k, v in metadata.items() if v}, **body}


def some(draw: st.DrawFn, name: str, values: st.SearchStrategy[Any], into: dict[str, Any]) -> None:
    """Put a field into `into`, or leave it out."""
    if draw(st.booleans()):
        into[name] = draw(values)


PORT_PROTOCOLS = (
    ("http", 80, "HTTP"),
    ("http", 80, "GRPC"),
    ("http-2", 9080, "HTTP2"),
    ("tcp", 3306, "TCP"),
    ("mysql", 3306, "MySQL"),
    ("tls", 443, "TLS"),
    ("https", 443, "HTTPS"),
    ("any", 9080, ""),
    ("udp", 53, "UDP"),
    ("tcp", 80, "TCP"),
)
AGES = (None, "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z")


@dataclass(frozen=True)
class World:
    """The few names of one example: the fewer there are, the more the documents meet."""

    kinds: tuple[str, ...]
    hosts: st.SearchStrategy[str]
    called: st.SearchStrategy[str]
    covering: st.SearchStrategy[str]
    namespaces: st.SearchStrategy[str]
    exports: st.SearchStrategy[tuple[str, ...]]
    ages: st.SearchStrategy[str | None]
    ports: st.SearchStrategy[tuple[str, int, str]]
    entries: st.SearchStrategy[str]
    policies: st.SearchStrategy[dict[str, Any]]


def few(draw: st.DrawFn, values: Sequence[Any], most: int) -> st.SearchStrategy[Any]:
    return st.sampled_from(draw(st.lists(st.sampled_from(values), min_size=1, max_size=most, unique_by=repr)))


POLICIES: tuple[dict[str, Any], ...] = (
    {"loadBalancer": {"consistentHash": {"httpHeaderName": "user"}}},
    {"loadBalancer": {"consistentHash": {"useSourceIp": True}}},
    {"loadBalancer": {"simple": "RANDOM"}},
    {
        "loadBalancer": {"localityLbSetting": {"failoverPriority": ["version"]}},
        "outlierDetection": {"consecutive5xxErrors": 3},
    },
    {
        "loadBalancer": {
            "localityLbSetting": {"distribute": [{"from": "eu/*", "to": {"eu/*": 80, "us/*": 20}}]}
        }
    },
    {"connectionPool": {"tcp": {"idleTimeout": "30s", "maxConnections": 3}}},
    {"tls": {"mode": "ISTIO_MUTUAL"}},
    {"tls": {"mode": "SIMPLE", "credentialName": "cert"}},
    {"tls": {"mode": "DISABLE"}},
    {
        "portLevelSettings": [
            {"port": {"number": 80}, "loadBalancer": {"consistentHash": {"httpHeaderName": "p"}}}
        ]
    },
    {"tunnel": {"targetHost": "t.example", "targetPort": 90}},
)


EGRESS_PORTS = (
    (0, "HTTP"),
    (80, "HTTP"),
    (80, "TCP"),
    (3306, "TCP"),
    (443, "TLS"),
    (9080, "TLS"),
    (6000, "HTTP_PROXY"),
    (6001, "HTTP_PROXY"),
    (9080, "HTTP"),
)
ENTRIES = (
    "*/*",
    "*/*",
    "./*",
    "shop/*",
    "~/*",
    "*/*.example",
    "default/*.default.svc.cluster.local",
    "~shop/*",
)


@st.composite
def worlds(draw: st.DrawFn, kinds: tuple[str, ...]) -> World:
    """The names that the documents of one example share, and some of `kinds`."""
    known = draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3, unique=True))
    others = draw(st.lists(st.sampled_from(CALLED), max_size=1))
    wild = draw(st.lists(st.sampled_from(WILDCARDS), max_size=2, unique=True))
    more = draw(st.lists(st.sampled_from(kinds), min_size=2, max_size=6, unique=True))
    return World(
        kinds=("ServiceEntry", "VirtualService", *more),
        hosts=st.sampled_from(known),
        called=st.sampled_from((*known, *others)),
        covering=st.sampled_from((*known, *known, *others, *wild)),
        namespaces=few(draw, NAMESPACES, 2),
        exports=few(draw, EXPORTS, 3),
        ages=few(draw, AGES, 2),
        ports=few(draw, PORT_PROTOCOLS, 4),
        entries=st.sampled_from((*ENTRIES, *(f"*/{host}" for host in known if "." in host))),
        policies=few(draw, POLICIES, 3),
    )
