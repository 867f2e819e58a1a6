"""(d) What a cold translation costs for each service, in meshes of different size."""

from __future__ import annotations

import gc
import time
from typing import NamedTuple

from google.protobuf import symbol_database

import mizzen
from benchmarks.documents import files
from mizzen.config import ConfigStore, MeshConfig, parse_documents
from mizzen.mesh.snapshot import Mesh
from mizzen.server.garbage import Garbage
from mizzen.translator.translation import Translation
from mizzen.xds.resource import Resource

SIZES = (100, 1_000, 10_000)


def node(number: int = 0, namespace: str = "namespace-1") -> dict[str, object]:
    """The node of a sidecar that belongs to no service."""
    return {
        "id": f"sidecar~10.250.{number // 250}.{number % 250 + 1}~client-{number}.{namespace}"
        f"~{namespace}.svc.cluster.local",
        "metadata": {"NAMESPACE": namespace, "LABELS": {"app": "client"}},
    }


def mesh_of(services: int) -> Mesh:
    """A mesh of so many services."""
    store = ConfigStore()
    store.apply({name: parse_documents(content, name) for name, content in files(services)})
    return Mesh.build(store.configs(), MeshConfig())


class Cost(NamedTuple):
    """Seconds of processor time, the best of some rounds: for everything that one sidecar is sent, and for
    protobuf to parse and encode it again; and its bytes."""

    services: int
    seconds: float
    protobuf: float
    size: int


def cold_translation(services: int, rounds: int) -> Cost:
    """Measure one size of the mesh.

    The steps and the settings of the cycle collector are the server's: with Python's defaults, visits to the
    whole mesh are most of what a translation of 10,000 services costs.
    """
    mesh = mesh_of(services)
    proxy = mizzen.Proxy.from_node(node())
    best, floor, size = float("inf"), float("inf"), 0
    for _ in range(rounds):
        translation = Translation(mesh)
        gc.collect()
        collector = Garbage()
        collector.settle()
        before = time.process_time()
        for _ in translation.prepare(proxy):
            collector.settle()
        resources = translation.resources(proxy)
        best = min(best, time.process_time() - before)
        collector.restore()
        sent = [resource for held in resources.values() for resource in held.values()]
        size = sum(len(resource.value) for resource in sent)
        floor = min(floor, _protobuf(sent))
    return Cost(services, best, floor, size)


def _protobuf(resources: list[Resource]) -> float:
    types = symbol_database.Default()
    sent = [(types.GetSymbol(each.type_url.rpartition("/")[2]), each.value) for each in resources]
    before = time.process_time()
    for message, value in sent:
        message.FromString(value).SerializeToString(deterministic=True)
    return time.process_time() - before


def measure() -> list[Cost]:
    """The cost for each size; the first translation of the process is not counted."""
    cold_translation(100, 1)
    return [cold_translation(services, 10_000 // services + 2) for services in SIZES]
