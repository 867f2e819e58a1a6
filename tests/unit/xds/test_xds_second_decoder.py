"""What goes over the wire is read the same by an independent implementation of Envoy's API."""

from datetime import timedelta

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy_data_plane.envoy.config.cluster import v3 as other_cluster
from envoy_data_plane.envoy.service.discovery import v3 as other

from mizzen import xds
from mizzen.xds.type_urls import CLUSTER
from tests.unit.xds.xds_driver import Driver


def cluster(name: str, ttl: timedelta | None = None) -> xds.Resource:
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    message.connect_timeout.seconds = 3
    return xds.Resource.of(message, ttl=ttl, aliases=(f"also-{name}",))


@pytest.mark.parametrize("ttl", [False, True])
def test_incremental_responses(ttl) -> None:
    driver = Driver(cluster("a", timedelta(seconds=90, milliseconds=5)), delta=True, ttl=ttl)
    driver.say(CLUSTER)
    data = driver.stream.channels[CLUSTER].subscription.outstanding.content.encode(driver.stream.dialect, "7")
    message = other.DeltaDiscoveryResponse.parse(data)
    assert (message.nonce, message.type_url) == ("7", CLUSTER)
    [resource] = message.resources
    assert (resource.name, resource.aliases) == ("a", ["also-a"])
    assert resource.version == cluster("a", timedelta(seconds=90, milliseconds=5)).version
    assert resource.ttl == (timedelta(seconds=90, milliseconds=5) if ttl else None)
    assert other_cluster.Cluster.parse(resource.resource.value).connect_timeout == timedelta(seconds=3)


def test_removed_names() -> None:
    driver = Driver(cluster("a"), delta=True)
    driver.ack(driver.say(CLUSTER)[0])
    driver.change(removed=((CLUSTER, "a"),))
    outstanding = driver.stream.channels[CLUSTER].subscription.outstanding
    message = other.DeltaDiscoveryResponse.parse(outstanding.content.encode(driver.stream.dialect, "8"))
    assert (message.resources, message.removed_resources) == ([], ["a"])


@pytest.mark.parametrize("ttl", [None, timedelta(seconds=9)])
def test_state_of_the_world_responses(ttl) -> None:
    driver = Driver(cluster("a", ttl), ttl=True)
    version = driver.say(CLUSTER)[0].version
    data = driver.stream.channels[CLUSTER].subscription.outstanding.content.encode(driver.stream.dialect, "7")
    message = other.DiscoveryResponse.parse(data)
    assert (message.nonce, message.type_url, message.version_info) == ("7", CLUSTER, version)
    value = message.resources[0].value
    if ttl is not None:
        wrapper = other.Resource.parse(value)
        assert (wrapper.name, wrapper.ttl) == ("a", ttl)
        value = wrapper.resource.value
    assert other_cluster.Cluster.parse(value).name == "a"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_152])
def test_lengths_at_the_borders_of_the_encoding(size) -> None:
    from envoy.service.discovery.v3 import discovery_pb2

    driver = Driver(xds.Resource(CLUSTER, "a", b"x" * size), delta=True)
    message = driver.say(CLUSTER)[0].message
    assert len(message.resources[0].resource.value) == size
    assert discovery_pb2.DeltaDiscoveryResponse.FromString(message.SerializeToString()) == message
