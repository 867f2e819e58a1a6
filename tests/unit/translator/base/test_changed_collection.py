"""Collections that change as little as they can."""

from __future__ import annotations

from envoy.config.cluster.v3 import cluster_pb2

from mizzen.config.diagnostics import Origin
from mizzen.config.group_kinds import SERVICE_ENTRY
from mizzen.translator.base.changed_collection import changed_collection
from mizzen.xds import type_urls
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection


def cluster(document: str) -> Resource:
    origin = Origin("mesh.yaml", 1, SERVICE_ENTRY.key("default", document))
    return Resource.of(cluster_pb2.Cluster(name="same"), origins=(origin,))


def collection(resource: Resource) -> Collection:
    return Collection(type_urls.CLUSTER, {resource.name: resource})


def test_what_is_the_same_stays_the_same_object() -> None:
    before = collection(cluster("one"))
    assert changed_collection(before, [cluster("one")], []) is before


def test_another_document_at_the_same_place_is_where_it_comes_from_now() -> None:
    after = changed_collection(collection(cluster("one")), [cluster("two")], [])
    [origin] = after.resources["same"].origins
    assert isinstance(origin, Origin)
    assert origin.document == SERVICE_ENTRY.key("default", "two")
