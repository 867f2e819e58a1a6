"""Drawn Envoy configurations with conditions of every kind, also those that Mizzen never sends, and calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf import json_format

from mizzen.simulate import Call, Capture, ClientTls, Protocol

_CALLS = 200
_ADDRESSES = ("10.0.0.1", "10.0.1.1", "10.1.0.1", "192.0.2.1", "fd00::1", "fd00:1::1")
_SOURCES = ("10.0.0.1", "127.0.0.1", "192.0.2.1", "192.0.2.200", "203.0.113.5", "10.1.0.1")
_NAMES = ("shop.example", "a.shop.example", "a.b.shop.example", "x.example", "EXAMPLE", "")
_LOCAL = (
    original_dst_pb2.OriginalDst(),
    tls_inspector_pb2.TlsInspector(),
    http_inspector_pb2.HttpInspector(),
)


@dataclass
class Messages:
    """What an Envoy is given."""

    listeners: list[Any] = field(default_factory=list)
    routes: list[Any] = field(default_factory=list)
    clusters: list[Any] = field(default_factory=list)
    endpoints: list[Any] = field(default_factory=list)
    secrets: list[Any] = field(default_factory=list)


def filter_chains(seed: int) -> tuple[Messages, list[Call]]:
    """Draw a listener whose filter chains match by all properties of a connection, and connections."""
    random = Random(f"chains {seed}")
    listener = listener_pb2.Listener(name="listener", traffic_direction=1)
    listener.address.socket_address.address = "0.0.0.0"
    listener.address.socket_address.port_value = 15006
    for each in _LOCAL:
        listener.listener_filters.add(name=_filter_name(each)).typed_config.Pack(each)
    listener.continue_on_listener_filters_timeout = True
    matches = [match for match in (_chain_match(random) for _ in range(30)) if match]
    for index, match in enumerate(_different(matches)):
        chain = listener.filter_chains.add(name=f"chain-{index}")
        json_format.ParseDict(match, chain.filter_chain_match)
        _tcp_proxy(chain)
    if random.random() < 0.5:
        listener.default_filter_chain.name = "default"
        _tcp_proxy(listener.default_filter_chain)
    return Messages([listener], clusters=[_empty_cluster()]), [_connection(random) for _ in range(_CALLS)]


def routes(seed: int) -> tuple[Messages, list[Call]]:
    """Draw a route configuration with conditions of all kinds, and requests."""
    random = Random(f"routes {seed}")
    listener = listener_pb2.Listener(name="listener")
    listener.address.socket_address.address = "0.0.0.0"
    listener.address.socket_address.port_value = 80
    manager = http_connection_manager_pb2.HttpConnectionManager(stat_prefix="test")
    manager.route_config.name = "drawn"
    manager.http_protocol_options.accept_http_10 = True
    manager.normalize_path.value = random.random() < 0.5
    manager.merge_slashes = random.random() < 0.5
    manager.use_remote_address.value = random.random() < 0.5
    manager.path_with_escaped_slashes_action = random.choice((0, 1, 2, 4))
    json_format.ParseDict(_route_configuration(random), manager.route_config)
    manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    chain = listener.filter_chains.add(name="http")
    chain.filters.add(name="manager").typed_config.Pack(manager)
    return Messages([listener], clusters=[_empty_cluster()]), [_request(random) for _ in range(_CALLS)]


def _chain_match(random: Random) -> dict[str, Any]:
    match: dict[str, Any] = {}
    if random.random() < 0.3:
        match["destination_port"] = random.choice((80, 443))
    if random.random() < 0.4:
        prefixes = (("10.0.0.0", 8), ("10.0.0.0", 24), ("10.1.0.1", 32), ("fd00::", 16), ("192.0.2.0", 24))
        match["prefix_ranges"] = [_range(*each) for each in random.sample(prefixes, random.randint(1, 2))]
    if random.random() < 0.4:
        names = ("shop.example", "*.shop.example", "*.example", "X.example", "example")
        match["server_names"] = random.sample(names, random.randint(1, 2))
    if random.random() < 0.4:
        match["transport_protocol"] = random.choice(("tls", "raw_buffer"))
    if random.random() < 0.4:
        match["application_protocols"] = random.sample(
            ("http/1.1", "h2", "h2c", "http/1.0"), random.randint(1, 2)
        )
    if random.random() < 0.3:
        match["source_type"] = random.choice(("SAME_IP_OR_LOOPBACK", "EXTERNAL"))
    if random.random() < 0.3:
        match["source_prefix_ranges"] = [
            _range(*random.choice((("192.0.2.0", 24), ("192.0.2.1", 32), ("10.0.0.0", 8))))
        ]
    if random.random() < 0.1:
        match["source_ports"] = random.sample(range(1000, 1000 + _CALLS), 50)
    return match


def _different(matches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return matches that have no combination of values in common, as Envoy demands it."""
    taken: set[tuple[Any, ...]] = set()
    kept = []
    for match in matches:
        combinations: list[tuple[Any, ...]] = [()]
        for name in (
            "destination_port",
            "prefix_ranges",
            "server_names",
            "transport_protocol",
            "application_protocols",
            "source_type",
            "source_prefix_ranges",
            "source_ports",
        ):
            value = match.get(name, "")
            values = value if isinstance(value, list) else [value]
            combinations = [(*each, str(one).lower()) for each in combinations for one in values]
        if taken.isdisjoint(combinations):
            taken.update(combinations)
            kept.append(match)
    return kept


def _route_configuration(random: Random) -> dict[str, Any]:
    domains = [
        "shop.example",
        "*.shop.example",
        "*.example",
        "shop.*",
        "shop.example:8080",
        "*-x.example",
        "API.example",
        "*",
    ]
    random.shuffle(domains)
    hosts = []
    for index in range(4):
        own = [domains.pop() for _ in range(random.randint(1, 2)) if domains]
        hosts.append(
            {
                "name": f"host-{index}",
                "domains": own,
                "routes": [
                    _route(random, f"route-{index}-{number}") for number in range(random.randint(3, 8))
                ],
            }
        )
        if random.random() < 0.2:
            hosts[-1]["require_tls"] = "ALL"
    return {"virtual_hosts": hosts, "ignore_port_in_host_matching": random.random() < 0.4}


def _route(random: Random, name: str) -> dict[str, Any]:
    match: dict[str, Any] = random.choice(
        (
            {"prefix": "/"},
            {"prefix": "/shop"},
            {"prefix": "/SHOP", "case_sensitive": False},
            {"path": "/shop/cart"},
            {"path": "/Shop", "case_sensitive": False},
            {"path_separated_prefix": "/shop"},
            {"prefix": ""},
            {"safe_regex": {"regex": "/[a-z]+/.*"}},
            {"safe_regex": {"regex": ".*%2[fF].*"}},
            {"path": "/"},
        )
    ).copy()
    if random.random() < 0.6:
        match["headers"] = [_header(random) for _ in range(random.randint(1, 2))]
    if random.random() < 0.3:
        match["query_parameters"] = [
            random.choice(
                (
                    {"name": "page", "string_match": {"exact": "1"}},
                    {"name": "page", "present_match": True},
                    {"name": "debug"},
                    {"name": "page", "string_match": {"safe_regex": {"regex": "[0-9]*"}}},
                    {"name": "q", "string_match": {"contains": "%20"}},
                )
            )
        ]
    if random.random() < 0.1:
        match["grpc"] = {}
    action = random.choice(
        (
            {"direct_response": {"status": 200}},
            {"direct_response": {"status": 404}},
            {"route": {"cluster": "there"}},
            {"redirect": {"path_redirect": "/new"}},
            {"redirect": {"https_redirect": True}},
            {"redirect": {"prefix_rewrite": "/new", "strip_query": True}},
            {"redirect": {"host_redirect": "new.example"}},
            {"redirect": {"regex_rewrite": {"pattern": {"regex": "[aeiou]"}, "substitution": "<\\0>"}}},
            {"redirect": {"port_redirect": 8443, "response_code": "PERMANENT_REDIRECT"}},
            {"redirect": {"path_redirect": "/new?fixed=1", "scheme_redirect": "https"}},
        )
    )
    return {"name": name, "match": match, **action}


def _header(random: Random) -> dict[str, Any]:
    header: dict[str, Any] = {
        "name": random.choice(("x-a", "X-B", ":method", ":authority", "host", ":scheme"))
    }
    header |= random.choice(
        (
            {"string_match": {"exact": "1"}},
            {"string_match": {"prefix": "s"}},
            {"string_match": {"suffix": "e"}},
            {"string_match": {"contains": "OP", "ignore_case": True}},
            {"string_match": {"safe_regex": {"regex": "[a-z]*"}}},
            {"string_match": {"exact": "get", "ignore_case": True}},
            {"present_match": True},
            {"present_match": False},
            {"range_match": {"start": -5, "end": 10}},
            {},
            {"string_match": {"exact": "http"}},
        )
    )
    if random.random() < 0.3:
        header["invert_match"] = True
    if random.random() < 0.3:
        header["treat_missing_header_as_empty"] = True
    return header


def _connection(random: Random) -> Call:
    tls = None
    if random.random() < 0.5:
        protocols = random.choice(((), ("http/1.1",), ("h2", "http/1.1"), ("http/1.1", "h2"), ("other",)))
        tls = ClientTls(random.choice(_NAMES), protocols)
    address = random.choice(_ADDRESSES)
    return Call(
        port=random.choice((80, 443, 8080)),
        address=address,
        capture=Capture.INBOUND,
        protocol=random.choice((Protocol.HTTP1, Protocol.HTTP10, Protocol.HTTP2, Protocol.TCP)),
        tls=tls,
        source_address=random.choice(_SOURCES) if ":" not in address else "fd00::9",
        authority="shop.example",
    )


def _request(random: Random) -> Call:
    names = (
        "shop.example",
        "a.shop.example",
        "shop.test",
        "Shop.Example:8080",
        "a-x.example",
        "-x.example",
        "api.example:1",
    )
    paths = (
        "/",
        "/shop",
        "/Shop",
        "/shop/cart",
        "/shopping",
        "/a/b",
        "/a%2Fb",
        "//shop",
        "/a/../shop",
        "/shop;v=1",
        "/%53hop",
    )
    queries = ("", "", "?page=1", "?page=", "?debug", "?q=a%20b&page=x", "?")
    headers = (
        ("x-a", "1"),
        ("x-a", "shape"),
        ("x-b", "7"),
        ("x-b", "10"),
        ("X-B", ""),
        ("x-a", "-5"),
        ("x-a", "+3"),
        ("content-type", "application/grpc"),
        ("x-forwarded-proto", "https"),
        ("x-b", " 8 "),
    )
    return Call(
        port=80,
        protocol=random.choice((Protocol.HTTP1, Protocol.HTTP1, Protocol.HTTP2, Protocol.HTTP10)),
        method=random.choice(("GET", "POST")),
        authority=random.choice(names),
        path=random.choice(paths) + random.choice(queries),
        headers=tuple(random.sample(headers, random.randint(0, 3))),
    )


def _tcp_proxy(chain: Any) -> None:
    chain.filters.add(name="tcp").typed_config.Pack(
        tcp_proxy_pb2.TcpProxy(stat_prefix="tcp", cluster="there")
    )


def _empty_cluster() -> Any:
    return cluster_pb2.Cluster(name="there", type=cluster_pb2.Cluster.STATIC)


def _range(address: str, length: int) -> dict[str, Any]:
    return {"address_prefix": address, "prefix_len": length}


def _filter_name(message: Any) -> str:
    return f"envoy.filters.listener.{message.DESCRIPTOR.full_name.split('.')[4]}"
