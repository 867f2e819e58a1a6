"""Where each namespace has a Sidecar, a change reaches the proxies that can see it, and no others. All have
what a build from nothing gives."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from tests.properties.translator.changing_meshes import DOCUMENTS, FILES, proxy
from tests.properties.translator.drawn_world import (
    CORE,
    LABELS,
    NETWORKING,
    POLICIES,
    SECURITY,
    World,
    document,
)
from tests.properties.translator.test_following_files import Batch, follow

PLACES = ("default", "shop", "a", "b", "istio-system")
HOSTS = (
    "d.default.svc.cluster.local",
    "s.shop.svc.cluster.local",
    "a.a.svc.cluster.local",
    "b.b.svc.cluster.local",
    "x.example",
    "y.example",
)
WILDCARDS = ("*.example", "*.a.svc.cluster.local", "*.shop.svc.cluster.local", "*.local", "*")
ENTRIES = (
    "./*",
    "./*",
    "./*",
    "istio-system/*",
    "a/*",
    "shop/s.shop.svc.cluster.local",
    "default/*.default.svc.cluster.local",
    "*/x.example",
    "*/*.example",
    "*/*.b.svc.cluster.local",
    "~/*",
    "~a/*",
    "*/*",
)
EXPORTS = ((), (), ("*",), (".",), (".", "shop"), ("a", "b"), ("istio-system",), ("~",))
PROXIES = (
    proxy("sidecar", "10.0.0.1", "default", LABELS[0]),
    proxy("sidecar", "10.0.0.2", "shop", LABELS[2]),
    proxy("sidecar", "10.0.0.3", "a", LABELS[1]),
    proxy("sidecar", "10.9.9.9", "a", {"app": "client"}),
    proxy("sidecar", "10.0.0.4", "b", LABELS[2], INTERCEPTION_MODE="NONE"),
    proxy("sidecar", "10.9.9.8", "istio-system", {}),
    proxy("router", "10.9.9.7", "b", LABELS[4]),
)

WORLD = World(
    kinds=(
        "Service",
        "WorkloadEntry",
        "WorkloadEntry",
        "ServiceEntry",
        "DestinationRule",
        "DestinationRule",
        "VirtualService",
        "delegate",
        "Sidecar",
        "PeerAuthentication",
        "Gateway",
    ),
    hosts=st.sampled_from(HOSTS),
    called=st.sampled_from((*HOSTS, "missing.example", "a", "b")),
    covering=st.sampled_from((*HOSTS, *HOSTS, "a", "b", *WILDCARDS)),
    namespaces=st.sampled_from(PLACES),
    exports=st.sampled_from(EXPORTS),
    ages=st.none(),
    ports=st.sampled_from((("http", 80, "HTTP"), ("tcp", 3306, "TCP"), ("tls", 443, "TLS"))),
    entries=st.sampled_from(ENTRIES),
    policies=st.sampled_from(POLICIES[:6]),
)


@st.composite
def security_policies(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(("AuthorizationPolicy", "AuthorizationPolicy", "RequestAuthentication")))
    spec: dict[str, Any] = {}
    if draw(st.booleans()):
        wanted = draw(st.sampled_from((*LABELS, {"app": "a"}, {"version": "v1"}, {"app": "client"}, {})))
        spec["selector"] = {"matchLabels": wanted}
    if kind == "AuthorizationPolicy":
        paths = [draw(st.sampled_from(("/a", "/b")))]
        spec |= {"action": "DENY", "rules": [{"to": [{"operation": {"paths": paths}}]}]}
    else:
        spec["jwtRules"] = [{"issuer": draw(st.sampled_from(("i", "j"))), "jwks": '{"keys":[]}'}]
    name = draw(st.sampled_from(("one", "two")))
    return document(kind, SECURITY, draw(st.sampled_from(PLACES)), name, spec=spec)


documents = st.one_of(*(DOCUMENTS[kind](WORLD) for kind in WORLD.kinds), security_policies())
some = st.lists(documents, min_size=1, max_size=2)


def standing(draw: st.DrawFn, place: str) -> list[dict[str, Any]]:
    """A Sidecar of a namespace, a service, and a rule from there to a service that need not be imported."""
    entries = draw(st.lists(st.sampled_from(ENTRIES[:8]), min_size=1, max_size=2))
    route = [{"route": [{"destination": {"host": draw(st.sampled_from(HOSTS[:4]))}}]}]
    ports = [{"name": "http", "port": 80}]
    return [
        document("Sidecar", NETWORKING, place, "standing", spec={"egress": [{"hosts": entries}]}),
        document("Service", CORE, place, place[0], spec={"selector": {"app": "a"}, "ports": ports}),
        document("VirtualService", NETWORKING, place, "standing", spec={"hosts": [place[0]], "http": route}),
    ]


@st.composite
def histories(draw: st.DrawFn) -> list[Batch]:
    """What stands in most namespaces, documents, and how they change."""
    places = draw(st.sets(st.sampled_from(PLACES[:4]), min_size=2))
    there = [each for place in sorted(places) for each in standing(draw, place)]
    first = draw(st.fixed_dictionaries(dict.fromkeys(FILES, some)))
    batches = st.builds(
        Batch,
        st.dictionaries(
            st.sampled_from(FILES), st.one_of(st.none(), some, some, some), min_size=1, max_size=2
        ),
        silent=st.sets(st.integers(0, 2)),
        unrelated=st.sampled_from((0,) * 12 + (17, 35)),
    )
    changes = draw(st.lists(batches, min_size=2, max_size=9))
    return [Batch({**first, "standing.yaml": there}), *changes]


@settings(max_examples=20)
@given(histories())
def test_proxies_of_many_namespaces_have_what_a_new_build_gives(batches: list[Batch]) -> None:
    follow(batches, list(PROXIES))
