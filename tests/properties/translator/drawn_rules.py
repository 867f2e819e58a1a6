"""Drawn documents of rules: where traffic goes, and who sees what."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st

from tests.properties.translator.drawn_world import (
    EGRESS_PORTS,
    NETWORKING,
    SECURITY,
    World,
    document,
    names,
    some,
)


@st.composite
def destination_rules(draw: st.DrawFn, world: World) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "host": draw(world.covering),
        "subsets": [
            {"name": name, "labels": {"version": name}}
            for name in sorted(draw(st.sets(st.sampled_from(("v1", "v2")))))
        ],
    }
    export = draw(world.exports)
    if export and export != ("~",):
        spec["exportTo"] = list(export)
    for subset in spec["subsets"]:
        some(draw, "trafficPolicy", world.policies.filter(lambda policy: "tunnel" not in policy), subset)
    some(draw, "trafficPolicy", world.policies, spec)
    if "exportTo" not in spec and draw(st.booleans()):
        spec["workloadSelector"] = {"matchLabels": draw(st.sampled_from(({"app": "a"}, {"version": "v1"})))}
    metadata = {"creationTimestamp": draw(world.ages)}
    return document(
        "DestinationRule", NETWORKING, draw(world.namespaces), draw(names), spec=spec, metadata=metadata
    )


@st.composite
def destinations(draw: st.DrawFn, world: World) -> list[dict[str, Any]]:
    made = []
    for host in draw(st.lists(world.called, min_size=1, max_size=2, unique=True)):
        destination: dict[str, Any] = {"host": host}
        some(draw, "subset", st.sampled_from(("v1", "v2")), destination)
        some(draw, "port", st.sampled_from(({"number": 80}, {"number": 9080}, {"number": 3306})), destination)
        made.append({"destination": destination})
    if len(made) == 2:
        made[0]["weight"], made[1]["weight"] = 60, 40
    return made


@st.composite
def http_routes(draw: st.DrawFn, world: World, *, delegate: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    match: dict[str, Any] = {}
    some(draw, "uri", st.sampled_from(({"prefix": "/a"}, {"prefix": "/"}, {"exact": "/a/b"})), match)
    if draw(st.integers(0, 4)) == 0:
        match["sourceLabels"] = draw(st.sampled_from(({"app": "a"}, {"version": "v2"})))
    if draw(st.integers(0, 4)) == 0:
        match["sourceNamespace"] = draw(world.namespaces)
    if draw(st.integers(0, 4)) == 0 and not delegate:
        match["gateways"] = [draw(st.sampled_from(("mesh", "default/one", "shop/two")))]
    if draw(st.integers(0, 5)) == 0:
        match["port"] = draw(st.sampled_from((80, 9080)))
    if match:
        rule["match"] = [match]
    some(draw, "name", names, rule)
    if not delegate and draw(st.integers(0, 2)) == 0:
        rule["delegate"] = {
            "name": draw(st.sampled_from(("leaf", "leaf", "one"))),
            "namespace": draw(world.namespaces),
        }
        return rule
    rule["route"] = draw(destinations(world))
    if draw(st.integers(0, 4)) == 0:
        rule["mirror"] = {"host": draw(world.called)}
    some(draw, "timeout", st.sampled_from(("1s", "2s")), rule)
    return rule


GATEWAYS = (
    ["mesh"],
    [],
    ["one"],
    ["mesh", "default/one"],
    ["default/one", "shop/two"],
    ["mesh", "default/one", "default/two", "shop/two"],
)


@st.composite
def virtual_services(draw: st.DrawFn, world: World) -> dict[str, Any]:
    metadata = {"creationTimestamp": draw(world.ages)}
    spec: dict[str, Any] = {
        "hosts": draw(st.lists(world.covering, min_size=1, max_size=2, unique=True)),
        "gateways": draw(st.sampled_from(GATEWAYS)),
        "exportTo": list(draw(world.exports)),
    }
    if spec["exportTo"] == ["~"]:
        spec["exportTo"] = []
    for section in draw(st.sampled_from((("http",), ("http",), ("tcp",), ("tls",), ("http", "tcp")))):
        if section == "http":
            spec["http"] = draw(st.lists(http_routes(world, delegate=False), min_size=1, max_size=2))
        else:
            match: dict[str, Any] = {}
            if section == "tls":
                concrete = [h for h in spec["hosts"] if h != "*" and "." in h]
                if not concrete:
                    concrete = spec["hosts"] = ["x.example"]
                match["sniHosts"] = concrete[:1]
            some(draw, "port", st.sampled_from((443, 3306)), match)
            if draw(st.integers(0, 4)) == 0:
                match["destinationSubnets"] = ["10.1.0.0/24"]
            if draw(st.integers(0, 4)) == 0:
                match["sourceLabels"] = {"app": "a"}
            rule: dict[str, Any] = {"route": draw(destinations(world))}
            if match:
                rule["match"] = [match]
            spec[section] = [rule]
    return document(
        "VirtualService", NETWORKING, draw(world.namespaces), draw(names), spec=spec, metadata=metadata
    )


@st.composite
def delegates(draw: st.DrawFn, world: World) -> dict[str, Any]:
    spec: dict[str, Any] = {"http": draw(st.lists(http_routes(world, delegate=True), min_size=1, max_size=2))}
    some(draw, "exportTo", world.exports.map(list), spec)
    metadata = {"creationTimestamp": draw(world.ages)}
    name = draw(st.sampled_from(("leaf", "leaf", "one")))
    return document("VirtualService", NETWORKING, draw(world.namespaces), name, spec=spec, metadata=metadata)


SERVERS: tuple[tuple[int, str, str, Any], ...] = (
    (80, "http", "HTTP", None),
    (8080, "http2", "HTTP", None),
    (8080, "redirect", "HTTP", {"httpsRedirect": True}),
    (443, "https", "HTTPS", {"mode": "SIMPLE", "credentialName": "cert"}),
    (443, "https-2", "HTTPS", {"mode": "MUTUAL", "credentialName": "cert-2"}),
    (443, "tls", "TLS", {"mode": "PASSTHROUGH"}),
    (15443, "auto", "TLS", {"mode": "AUTO_PASSTHROUGH"}),
    (15443, "auto-2", "TLS", {"mode": "AUTO_PASSTHROUGH"}),
    (3306, "tcp", "TCP", None),
)


@st.composite
def gateways(draw: st.DrawFn, world: World) -> dict[str, Any]:
    servers = []
    for number, name, protocol, tls in draw(
        st.lists(st.sampled_from(SERVERS), min_size=1, max_size=3, unique_by=lambda each: each[1])
    ):
        wanted = draw(
            st.lists(
                st.sampled_from(
                    (
                        "*",
                        "*.example",
                        "x.example",
                        "./x.example",
                        "shop/*",
                        "*.local",
                        "*.default.svc.cluster.local",
                        "b.shop.svc.cluster.local",
                    )
                ),
                min_size=1,
                max_size=2,
                unique=True,
            )
        )
        server: dict[str, Any] = {
            "port": {"number": number, "name": name, "protocol": protocol},
            "hosts": wanted,
        }
        if tls is not None:
            server["tls"] = tls
        if draw(st.integers(0, 5)) == 0:
            server["bind"] = "127.0.0.1"
        servers.append(server)
    spec = {
        "selector": draw(st.sampled_from(({"istio": "gw"}, {"istio": "gw"}, {"istio": "edge"}, {}))),
        "servers": servers,
    }
    metadata = {"creationTimestamp": draw(world.ages)}
    return document(
        "Gateway",
        NETWORKING,
        draw(st.sampled_from(("default", "shop"))),
        draw(names),
        spec=spec,
        metadata=metadata,
    )


@st.composite
def peer_authentications(draw: st.DrawFn, world: World) -> dict[str, Any]:
    modes = st.sampled_from(("UNSET", "DISABLE", "PERMISSIVE", "STRICT")).map(lambda mode: {"mode": mode})
    spec: dict[str, Any] = {}
    some(draw, "mtls", modes, spec)
    if draw(st.booleans()):
        spec["selector"] = {"matchLabels": draw(st.sampled_from(({"app": "a"}, {"version": "v1"})))}
        some(draw, "portLevelMtls", st.dictionaries(st.sampled_from((80, 9080)), modes, min_size=1), spec)
    metadata = {"creationTimestamp": draw(world.ages)}
    return document(
        "PeerAuthentication", SECURITY, draw(world.namespaces), draw(names), spec=spec, metadata=metadata
    )


@st.composite
def sidecars(draw: st.DrawFn, world: World) -> dict[str, Any]:
    egress: list[dict[str, Any]] = []
    numbers = draw(st.lists(st.sampled_from(EGRESS_PORTS), max_size=2, unique_by=lambda each: each[0]))
    for number, protocol in numbers:
        port = {"number": number, "name": f"p{number}", "protocol": protocol}
        egress.append({"port": port, "hosts": [draw(world.entries)]})
        if number == 0:
            egress[-1]["bind"] = "unix:///var/run/proxy"
        else:
            some(draw, "bind", st.just("127.0.0.2"), egress[-1])
    if not egress or draw(st.booleans()):
        egress.append({"hosts": draw(st.lists(world.entries, min_size=1, max_size=3, unique=True))})
        some(draw, "captureMode", st.sampled_from(("NONE", "IPTABLES")), egress[-1]) if draw(
            st.booleans()
        ) else None
    spec: dict[str, Any] = {}
    if draw(st.integers(0, 4)):
        spec["egress"] = egress
    if draw(st.integers(0, 2)) == 0:
        spec["workloadSelector"] = {"labels": draw(st.sampled_from(({"app": "a"}, {"version": "v1"})))}
    if draw(st.integers(0, 2)) == 0:
        policy: dict[str, Any] = {"mode": draw(st.sampled_from(("REGISTRY_ONLY", "ALLOW_ANY")))}
        if policy["mode"] == "ALLOW_ANY" and draw(st.booleans()):
            policy["egressProxy"] = {
                "host": draw(st.sampled_from(("x.example", "a.default.svc.cluster.local")))
            }
            some(draw, "port", st.just({"number": 80}), policy["egressProxy"])
            some(draw, "subset", st.just("v1"), policy["egressProxy"])
        spec["outboundTrafficPolicy"] = policy
    if draw(st.integers(0, 2)) == 0:
        spec["ingress"] = [
            {
                "port": {"number": 9080, "name": "http", "protocol": "HTTP"},
                "defaultEndpoint": draw(st.sampled_from(("127.0.0.1:8080", "0.0.0.0:8081"))),
            }
        ]
    if draw(st.integers(0, 4)) == 0:
        spec["inboundConnectionPool"] = {"tcp": {"maxConnections": 5}}
    metadata = {"creationTimestamp": draw(world.ages)}
    return document("Sidecar", NETWORKING, draw(world.namespaces), draw(names), spec=spec, metadata=metadata)


@st.composite
def invalid(draw: st.DrawFn, world: World) -> dict[str, Any]:
    """A document that is refused, under a name that others have."""
    kind = draw(
        st.sampled_from(
            ("VirtualService", "ServiceEntry", "DestinationRule", "Gateway", "Sidecar", "WorkloadEntry")
        )
    )
    return document(kind, NETWORKING, draw(world.namespaces), draw(names), spec={"nonsense": 1})
