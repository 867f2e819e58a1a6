"""Rules that look at labels beside other rules, on few hosts whose names, wildcards and addresses meet: each
proxy is sent what it would be sent if everything were built anew, whatever changes beside it."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

import mizzen
from mizzen.config import ConfigStore
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation
from tests.properties.translator.test_incremental import NETWORKING, document, parsed, versions

SERVICES = ("a.example", "b.example", "c.sub.example", "d.sub.example")
HOSTS = (*SERVICES, "*.example", "*.sub.example", "*", "u.unknown", "w.unknown", "web", "10.9.9.9")
"""Of VirtualServices: services, wildcards over them, hosts that are no services, and an address."""
LABELS: tuple[dict[str, str], ...] = ({"app": "a"}, {"app": "b"}, {"app": "a", "tier": "x"}, {"tier": "x"})
PROXIES = [
    mizzen.Proxy.from_node(
        {
            "id": f"sidecar~10.8.0.{number}~p{number}.shop~shop.svc.cluster.local",
            "metadata": {"NAMESPACE": "shop", "LABELS": labels},
        }
    )
    for number, labels in enumerate((*LABELS, {"app": "z"}, {}))
]


@st.composite
def service_entries(draw: st.DrawFn) -> dict[str, Any]:
    """A service, whose address others may have too."""
    host = draw(st.sampled_from(SERVICES))
    numbers = draw(st.sampled_from([(80,), (8080,), (80, 8080)]))
    protocol = draw(st.sampled_from(["HTTP", "HTTP", "TCP", "TLS"]))
    spec: dict[str, Any] = {
        "hosts": [host],
        "ports": [{"number": each, "name": f"p{each}", "protocol": protocol} for each in numbers],
        "resolution": "STATIC",
        "endpoints": [{"address": f"10.0.0.{draw(st.integers(1, 4))}"}],
    }
    if draw(st.booleans()):
        spec["addresses"] = [draw(st.sampled_from(["10.9.9.9", "10.9.9.8"]))]
    return document("ServiceEntry", NETWORKING, "shop", host, spec=spec)


@st.composite
def services(draw: st.DrawFn) -> dict[str, Any]:
    """The Service `web`."""
    spec = {
        "selector": {"app": "web"},
        "clusterIP": draw(st.sampled_from(["10.9.9.9", "10.9.9.7"])),
        "ports": [
            {"name": draw(st.sampled_from(["http", "tcp"])), "port": draw(st.sampled_from([80, 8080]))}
        ],
    }
    return document("Service", "v1", "shop", "web", spec=spec)


@st.composite
def routes(draw: st.DrawFn, *, labelled: bool) -> dict[str, Any]:
    """An HTTP route; if `labelled`, for proxies with some labels."""
    route: dict[str, Any] = {"route": [{"destination": {"host": draw(st.sampled_from([*SERVICES, "web"]))}}]}
    match: dict[str, Any] = {}
    if draw(st.integers(0, 4)) == 0:
        match["uri"] = {"prefix": "/0"}
    if labelled:
        match["sourceLabels"] = draw(st.sampled_from(LABELS))
        if draw(st.integers(0, 4)) == 0:
            match["port"] = draw(st.sampled_from([80, 8080]))
    return {**route, "match": [match]} if match else route


@st.composite
def virtual_services(draw: st.DrawFn) -> dict[str, Any]:
    """One with some hosts; most look at labels."""
    labelled = draw(st.lists(routes(labelled=True), max_size=2))
    plain = draw(st.lists(routes(labelled=False), min_size=0 if labelled else 1, max_size=1))
    hosts = draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3, unique=True))
    name = draw(st.sampled_from(["v1", "v2", "v3", "v4", "v5"]))
    return document(
        "VirtualService", NETWORKING, "shop", name, spec={"hosts": hosts, "http": labelled + plain}
    )


@st.composite
def destination_rules(draw: st.DrawFn) -> dict[str, Any]:
    """One that hashes, so that routes look at it, and may look at labels."""
    header = draw(st.sampled_from("xyz"))
    spec: dict[str, Any] = {
        "host": draw(st.sampled_from([*SERVICES, "*.sub.example"])),
        "trafficPolicy": {"loadBalancer": {"consistentHash": {"httpHeaderName": header}}},
    }
    if draw(st.booleans()):
        spec["workloadSelector"] = {"matchLabels": {"app": draw(st.sampled_from("ab"))}}
    return document("DestinationRule", NETWORKING, "shop", draw(st.sampled_from(["d1", "d2"])), spec=spec)


documents = st.one_of(
    service_entries(), services(), virtual_services(), virtual_services(), destination_rules()
)
batches = st.lists(
    st.lists(st.tuples(documents, st.integers(0, 3)), min_size=1, max_size=3), min_size=1, max_size=8
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(documents, min_size=2, max_size=8), batches)
def test_a_change_beside_labels_ends_as_a_build(
    first: list[dict[str, Any]], batches: list[list[tuple[dict[str, Any], int]]]
) -> None:
    store = ConfigStore()
    mesh = Mesh.build(())
    translation = Translation(mesh)
    for number, batch in enumerate([[(each, 1) for each in first], *batches]):
        files = {}
        for content, kept in batch:
            file = f"{content['kind']}-{content['metadata']['name']}.yaml"
            files[file] = parsed(content, file) if kept else None
        mesh, _ = mesh.updated(store.apply(files))
        translation.update(mesh)
        if (number + len(batches)) % 3 == 2:
            continue  # two changes before anybody asks
        alone = Translation(Mesh.build(store.configs()))
        for proxy in PROXIES:
            assert versions(translation, proxy) == versions(alone, proxy), proxy.node_id
