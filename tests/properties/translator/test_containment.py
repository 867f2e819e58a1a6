"""A document at which translation fails stops nothing else: with a builder that raises for one document,
every proxy gets what a mesh without that document gives, and follows all other changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

import mizzen
from mizzen.config import Config, ConfigKey, ConfigStore, parse_documents
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.clusters import service_resources
from mizzen.translator.contained import ContainedTranslation
from mizzen.translator.listeners import gateway as listeners_gateway
from mizzen.translator.own import resources as workload_resources
from mizzen.translator.routes import port_routes
from mizzen.translator.shared import outbound_builder
from mizzen.translator.translation import Translation
from mizzen.xds.snapshot import Snapshot
from tests.properties.translator.test_incremental import (
    NETWORKING,
    PROXIES,
    STANDING,
    document,
    edits,
)

MARK = "broken"
"""A document with this label is one at which the builder of the case raises."""


class Broken(Exception):
    """What the builder raises."""


def broken(content: dict[str, Any]) -> dict[str, Any]:
    metadata = content["metadata"] | {"labels": {MARK: "true"}}
    return content | {"metadata": metadata}


def parsed(content: dict[str, Any], file: str) -> Any:
    found = parse_documents(json.dumps(content).encode(), file)
    assert not found.diagnostics, found.diagnostics
    return found


def versions(snapshot: Snapshot) -> Mapping[str, Mapping[str, str]]:
    from mizzen.xds import type_urls

    return {
        type_url: {name: one.version for name, one in sorted(snapshot.collection(type_url).resources.items())}
        for type_url in type_urls.PUSH_ORDER
    }


def raising_for(function: Callable[..., Any], is_marked: Callable[..., bool]) -> Callable[..., Any]:
    def build(*arguments: Any, **named: Any) -> Any:
        if is_marked(*arguments, **named):
            raise Broken("this document cannot be built")
        return function(*arguments, **named)

    return build


def _origin_marked(origins: Any) -> bool:
    return any("broken" in origin.file for origin in origins)


CASES: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    # The builder that raises, and the documents for which it does, told by their file.
    "service": (
        service_resources,
        "outbound_clusters",
        lambda of, *_: _origin_marked(of.service.origins),
    ),
    "endpoints": (
        service_resources,
        "load_assignments",
        lambda of, *_: _origin_marked(of.service.origins),
    ),
    "route": (port_routes, "rule_routes", lambda rule, *_, **__: "broken" in rule.config.origin.file),
    "listener": (outbound_builder, "outbound_listener", lambda spec, *_, **__: _origin_marked(spec.origins)),
    "inbound": (
        workload_resources,
        "inbound_ports",
        lambda proxy, instances, sidecar, _: (
            any(_origin_marked(one.service.origins) for one in instances)
            or (sidecar is not None and "broken" in sidecar.origin.file)
        ),
    ),
    "gateway": (
        listeners_gateway,
        "listener_resource",
        lambda message, passed, origins: _origin_marked(origins),
    ),
}


class World:
    """The files, the mesh that they make, and its contained translation."""

    def __init__(self) -> None:
        self.store = ConfigStore()
        self.store.apply(
            {f"{number}.yaml": parsed(content, f"{number}.yaml") for number, content in enumerate(STANDING)}
        )
        self.mesh = Mesh.build(self.store.configs(), MeshConfig())
        self.translation = ContainedTranslation(self.mesh)
        self._expected: dict[Any, Mapping[str, Mapping[str, str]]] = {}

    def write(self, files: Mapping[str, dict[str, Any] | None]) -> None:
        self._expected.clear()
        change = self.store.apply(
            {file: parsed(content, file) if content is not None else None for file, content in files.items()}
        )
        self.mesh, delta = self.mesh.updated(change)
        self.translation.update(self.mesh, delta)

    def expected(self, proxy: mizzen.Proxy) -> Mapping[str, Mapping[str, str]]:
        """What the proxy gets from the whole mesh; if that fails for it, from one in which the withheld
        documents stand at their stand-ins."""
        instead = {one.key: one.in_force for one in self.translation.withheld}
        known = (proxy, frozenset(instead.items()))
        if known not in self._expected:
            self._expected[known] = self._built(proxy, instead)
        return self._expected[known]

    def _built(
        self, proxy: mizzen.Proxy, instead: Mapping[ConfigKey, Config[Any] | None]
    ) -> Mapping[str, Mapping[str, str]]:
        try:
            return versions(Translation(Mesh.build(self.store.configs(), MeshConfig())).snapshot(proxy))
        except Broken:
            configs = [config for config in self.store.configs() if config.key not in instead]
        configs += [config for config in instead.values() if config is not None]
        return versions(Translation(Mesh.build(configs, MeshConfig())).snapshot(proxy))


BAD: dict[str, dict[str, Any]] = {
    "service": document(
        "Service",
        "v1",
        "default",
        "bad",
        spec={
            "clusterIP": "10.1.9.9",
            "ports": [{"name": "tcp", "port": 7000}, {"name": "http", "port": 80}],
        },
    ),
    "route": document(
        "VirtualService",
        NETWORKING,
        "default",
        "bad",
        spec={"hosts": ["frontend"], "http": [{"route": [{"destination": {"host": "reviews"}}]}]},
    ),
    "inbound": document(
        "Service",
        "v1",
        "default",
        "bad",
        spec={"selector": {"app": "reviews"}, "ports": [{"name": "http", "port": 80}]},
    ),
    "gateway": document(
        "Gateway",
        NETWORKING,
        "default",
        "bad",
        spec={
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 9999, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    ),
}
BAD["endpoints"] = BAD["listener"] = BAD["service"]
WORKLOAD = document(
    "WorkloadEntry",
    NETWORKING,
    "default",
    "standing",
    spec={"address": "10.0.0.1", "labels": {"app": "reviews"}},
)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=edits, ever_good=st.booleans())
def test_everything_but_the_broken_document_follows_changes(
    case: str, batches: list[list[tuple[dict[str, Any], bool, int]]], ever_good: bool
) -> None:
    module, name, is_marked = CASES[case]
    bad = BAD[case]
    with pytest.MonkeyPatch.context() as patch:
        world = World()
        world.write({"workload.yaml": WORKLOAD})
        if ever_good:
            world.write({"good.yaml": bad})
        for proxy in PROXIES:
            world.translation.translate(proxy)
        patch.setattr(module, name, raising_for(getattr(module, name), is_marked))
        changed = bad | {"metadata": bad["metadata"] | {"annotations": {"version": "2"}}}
        world.write({"good.yaml": None, "broken.yaml": changed})
        for proxy in PROXIES:
            assert versions(world.translation.snapshot(proxy)) == world.expected(proxy)
        given_last = {proxy: versions(world.translation.snapshot(proxy)) for proxy in PROXIES}
        assert [str(one.key) for one in world.translation.withheld] == [f"{bad['kind']}/default/bad"]
        assert world.translation.withheld[0].diagnostic.origin.file == "broken.yaml"
        assert (world.translation.withheld[0].in_force is not None) is ever_good
        for batch in batches:
            files: dict[str, dict[str, Any] | None] = {}
            for content, deleted, _ in batch:
                metadata = content["metadata"]
                file = f"a-{content['kind']}-{metadata['namespace']}-{metadata['name']}.yaml"
                files[file] = None if deleted else content
            world.write(files)
            concerned = set(world.translation.concerned())
            for proxy in PROXIES:
                if proxy in concerned:
                    given_last[proxy] = versions(world.translation.snapshot(proxy))
                assert given_last[proxy] == world.expected(proxy)
                assert versions(world.translation.snapshot(proxy)) == world.expected(proxy)
        patch.undo()
        world.write({"broken.yaml": None})
        for proxy in PROXIES:
            assert versions(world.translation.snapshot(proxy)) == world.expected(proxy)
        assert world.translation.withheld == ()
