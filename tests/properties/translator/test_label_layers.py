"""What rules that look at labels decide about is laid over what all proxies share: each proxy is sent what it
would be sent if everything were built for it alone, whatever changes."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

import mizzen
from mizzen.config import ConfigStore
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.shared import label_rules
from mizzen.translator.translation import Translation
from tests.properties.translator.test_incremental import (
    NETWORKING,
    STANDING,
    document,
    documents,
    parsed,
    versions,
)

APPS = ("reviews", "client", "other", "")
PROXIES = [
    mizzen.Proxy.from_node(
        {
            "id": f"sidecar~10.0.9.{number}~{app}.{namespace}~{namespace}.svc.cluster.local",
            "metadata": {"NAMESPACE": namespace, "LABELS": {"app": app, "rack": "a"} if app else {}},
        }
    )
    for number, (app, namespace) in enumerate((app, name) for name in ("default", "shop") for app in APPS)
]
HOSTS = ("reviews", "frontend", "db", "*.default.svc.cluster.local", "api.example.com", "unknown.example.org")
NAMES = (("default", "one"), ("default", "two"), ("shop", "one"), ("shop", "two"))


def _labels(draw: st.DrawFn) -> dict[str, str]:
    return draw(st.sampled_from([{"app": "reviews"}, {"app": "client"}, {"app": "client"}, {"rack": "a"}]))


@st.composite
def virtual_services(draw: st.DrawFn) -> dict[str, Any]:
    """One that looks at labels."""
    to = {"destination": {"host": draw(st.sampled_from(["reviews", "frontend", "db", "api.example.com"]))}}
    match: dict[str, Any] = {"sourceLabels": _labels(draw)}
    if draw(st.booleans()):
        match["port"] = draw(st.sampled_from([80, 3306, 9080]))
    section = draw(st.sampled_from(["http", "tcp"]))
    spec = {
        "hosts": [draw(st.sampled_from(HOSTS))],
        section: [{"match": [match], "route": [to]}, *([{"route": [to]}] if draw(st.booleans()) else [])],
        "exportTo": [draw(st.sampled_from([".", "*"]))],
    }
    name, namespace = (
        draw(st.sampled_from(["of-labels", "first"])),
        draw(st.sampled_from(["default", "shop"])),
    )
    return document("VirtualService", NETWORKING, namespace, name, spec=spec)


@st.composite
def destination_rules(draw: st.DrawFn) -> dict[str, Any]:
    """One that mostly looks at labels."""
    policy = draw(
        st.sampled_from(
            [
                {"loadBalancer": {"consistentHash": {"httpHeaderName": "user"}}},
                {"connectionPool": {"tcp": {"idleTimeout": "30s"}}},
                {"tls": {"mode": "SIMPLE", "caCertificates": "/roots.pem"}},
                {
                    "loadBalancer": {"localityLbSetting": {"failoverPriority": ["rack", "app"]}},
                    "outlierDetection": {},
                },
            ]
        )
    )
    spec: dict[str, Any] = {"host": draw(st.sampled_from(HOSTS)), "trafficPolicy": policy}
    if draw(st.booleans()):
        spec["subsets"] = [{"name": "v1", "labels": {"version": "v1"}}]
    if draw(st.integers(0, 3)):
        spec["workloadSelector"] = {"matchLabels": _labels(draw)}
    namespace, name = draw(st.sampled_from(NAMES))
    return document("DestinationRule", NETWORKING, namespace, name, spec=spec)


looking = st.one_of(virtual_services(), destination_rules())
edits = st.lists(
    st.lists(
        st.tuples(st.one_of(documents, documents, documents, looking), st.booleans()),
        min_size=1,
        max_size=3,
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(looking, min_size=1, max_size=4), edits)
def test_each_is_sent_what_it_would_be_sent_alone(
    standing: list[dict[str, Any]], batches: list[list[tuple[dict[str, Any], bool]]]
) -> None:
    store = ConfigStore()
    store.apply({f"{number}": parsed(content, f"{number}") for number, content in enumerate(STANDING)})
    mesh = Mesh.build(store.configs())
    translation = Translation(mesh)
    for round_number, batch in enumerate([[(each, False) for each in standing], *batches]):
        files = {}
        for content, deleted in batch:
            metadata = content["metadata"]
            file = f"{content['kind']}-{metadata['namespace']}-{metadata['name']}.yaml"
            files[file] = None if deleted else parsed(content, file)
        mesh, _ = mesh.updated(store.apply(files))
        translation.update(mesh)
        compared = [
            proxy
            for index, proxy in enumerate(PROXIES)
            if (round_number + index) % 3 != 2 or round_number == len(batches)
        ]
        with patch.object(label_rules, "_MOST_LAID_OVER", -1):
            alone = Translation(Mesh.build(store.configs()))
            expected = {proxy: versions(alone, proxy) for proxy in compared}
        for proxy in compared:
            assert versions(translation, proxy) == expected[proxy], proxy.node_id
