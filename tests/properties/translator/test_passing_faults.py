"""A fault that passes leaves nothing behind: with the next change every proxy gets what a new build gives it.

Functions that make what is for one proxy alone raise at random calls, while files change at random.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Final

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

import mizzen
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.recorded import mesh as recorded
from mizzen.mesh.snapshot import Mesh
from mizzen.translator import translation
from mizzen.translator.contained import ContainedTranslation, ProxyFaultError
from mizzen.translator.listeners import gateway as gateway_listeners
from mizzen.translator.own import resources as workload_resources
from mizzen.translator.own import secrets as proxy_secrets
from mizzen.translator.translation import Translation
from tests.properties.translator.changing_meshes import PROXIES
from tests.properties.translator.test_following_files import Batch, Contents, Follower, histories, unrelated

REPLICAS: Final = tuple(
    dataclasses.replace(proxy, id=f"replica-{proxy.id}", node_id=f"replica-{proxy.node_id}")
    for proxy in PROXIES
)
FAILING: Final = (
    (translation, "sidecar_resources"),
    (translation, "gateway_resources"),
    (translation, "proxy_secrets"),
    (translation, "passthrough_hosts"),
    (proxy_secrets, "secrets"),
    (workload_resources, "inbound_ports"),
    (workload_resources, "inbound_clusters"),
    (workload_resources, "passthrough_chains"),
    (workload_resources, "gateway_route_configuration"),
    (workload_resources, "secret_references"),
    (gateway_listeners, "listener_resource"),
    (recorded.RecordedMesh, "policies_for"),
    (recorded.RecordedMesh, "secret"),
)


class Passing(Exception):
    """What the functions raise for a while."""


class Faults:
    """Lets a function raise at the next calls that say so."""

    def __init__(self) -> None:
        self.calls: list[bool] = []

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            if self.calls and self.calls.pop(0):
                raise Passing
            return function(*arguments, **named)

        return called


class Contained(Follower):
    """The translation that contains faults follows the files too."""

    def __init__(self) -> None:
        super().__init__()
        self.contained = ContainedTranslation(self.mesh)

    def change(self, files: Contents, mesh_config: MeshConfig | None = None) -> MeshDelta:
        delta = super().change(files, mesh_config)
        self.contained.update(self.mesh, delta)
        return delta


class Served:
    """What proxies were given by a server that asks for those only that a change concerns. `silent` ones are
    not asked for yet."""

    def __init__(self, translation: Translation | ContainedTranslation) -> None:
        self.given: dict[mizzen.Proxy, Any] = {}
        self._translation = translation
        self._due: set[mizzen.Proxy] = set()

    def push(self, proxies: Collection[mizzen.Proxy]) -> None:
        """Translate for those of `proxies` that need it, as far as possible."""
        self._due.update(self._translation.concerned())
        for proxy in proxies:
            if proxy in self._due or proxy not in self.given:
                self._due.discard(proxy)
                with contextlib.suppress(Passing, ProxyFaultError):
                    self.given[proxy] = made_by(self._translation, proxy)


def made_by(of: Translation | ContainedTranslation, proxy: mizzen.Proxy) -> Any:
    """What a proxy is sent, by version, and what could not be served."""
    snapshot, diagnostics = of.translate(proxy)
    return {(each.type_url, each.name): each.version for each in snapshot}, diagnostics


@settings(max_examples=30)
@given(
    histories(),
    st.lists(st.sampled_from((*PROXIES, *REPLICAS)), min_size=3, max_size=3, unique=True),
    st.lists(st.lists(st.booleans(), max_size=8), min_size=10, max_size=10),
    st.sampled_from(FAILING),
    st.booleans(),
)
def test_a_fault_that_passes_leaves_nothing_behind(
    batches: list[Batch],
    proxies: list[mizzen.Proxy],
    calls: list[list[bool]],
    failing: tuple[Any, str],
    contains: bool,
) -> None:
    follower = Contained()
    translation = follower.contained if contains else follower.translation
    served, faults = Served(translation), Faults()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*failing, faults.of(getattr(*failing)))
        for number, batch in enumerate(batches):
            asked = [proxy for place, proxy in enumerate(proxies) if place not in batch.silent]
            faults.calls = list(calls[number])
            follower.change(batch.files, batch.mesh_config)
            served.push(asked)
            for proxy in proxies:
                translation.knows(proxy)
                deque(translation.prepare(proxy), maxlen=0)
            if number % 3 == 2:
                deque(translation.forget_unused(proxies) or (), maxlen=0)
            faults.calls = []
            follower.change(unrelated(number))
            served.push(asked)
            anew = Translation(Mesh.build(follower.store.configs(), follower.mesh_config))
            for proxy in asked:
                (versions, found), (expected, wanted) = served.given[proxy], made_by(anew, proxy)
                assert versions == expected
                assert [each.current(follower.mesh.current_origin) for each in found] == list(wanted)
            assert not (contains and follower.contained.withheld)
