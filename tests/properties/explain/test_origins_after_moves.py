"""However files change and lines move, the parts of what is sent know the lines that a new build knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from hypothesis import example, given, settings

import mizzen
from mizzen.explain.origins import PartOrigins, Places
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls
from tests.properties.translator.changing_meshes import FILES, PROXIES
from tests.properties.translator.drawn_world import NETWORKING, document
from tests.properties.translator.test_following_files import Batch, Follower, histories

ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
POLICIES = ("AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication")
SECRETS = ("cert", "cert-2")


def parts(translation: Translation, proxy: mizzen.Proxy) -> dict[tuple[Any, ...], list[str]]:
    """The lines of every part that a proxy is sent."""
    found = _parts(PartOrigins(translation, proxy), translation.resources(proxy))
    return {part: sorted(map(str, places)) for part, places in found}


def _parts(origins: PartOrigins, sent: Any) -> Iterator[tuple[tuple[Any, ...], Places]]:
    for name, resource in sent[type_urls.ROUTE].items():
        for host in route_pb2.RouteConfiguration.FromString(bytes(resource.value)).virtual_hosts:
            yield ("virtual host", name, host.name), origins.virtual_host(name, host.name)
            for index in range(len(host.routes)):
                yield ("route", name, host.name, index), origins.route(name, host.name, index)
    for name, resource in sent[type_urls.LISTENER].items():
        chains = listener_pb2.Listener.FromString(bytes(resource.value)).filter_chains
        for index, chain in enumerate(chains):
            found = origins.filter_chain(
                name, index, name=chain.name, server_names=chain.filter_chain_match.server_names
            )
            yield ("filter chain", name, index), found
        yield ("default filter chain", name), origins.filter_chain(name, -1)
        yield ("policies", name), origins.policies(name, POLICIES)
        for secret in SECRETS:
            yield ("credential", name, secret), origins.credential(type_urls.LISTENER, name, secret)
    for name in sent[type_urls.CLUSTER]:
        yield ("cluster", name), origins.cluster(name)
        yield ("cluster policy", name), origins.cluster_policy(name)
        for address in ADDRESSES:
            yield ("endpoint", name, address), origins.endpoint(name, address)
        for secret in SECRETS:
            yield ("credential", name, secret), origins.credential(type_urls.CLUSTER, name, secret)


SERVERS = [
    {"port": {"number": 80, "name": name, "protocol": "HTTP"}, "hosts": [f"{name}.example"]}
    for name in ("one", "two")
]
GATEWAY = document(
    "Gateway", NETWORKING, "shop", "both", spec={"selector": {"istio": "gw"}, "servers": SERVERS}
)


@settings(max_examples=30)
@example([Batch({FILES[0]: [GATEWAY]})], PROXIES[-1], 1)
@given(histories(), st.sampled_from(PROXIES), st.integers(1, 3))
def test_parts_know_the_lines_that_a_new_build_knows(
    batches: list[Batch], proxy: mizzen.Proxy, lines: int
) -> None:
    follower = Follower()
    for batch in batches[:3]:
        follower.change(batch.files, batch.mesh_config)
        follower.translation.snapshot(proxy)
        follower.put_comments_above(lines)
        anew = Translation(Mesh.build(follower.store.configs(), follower.mesh_config))
        assert parts(follower.translation, proxy) == parts(anew, proxy)
