"""A resource: its name, its version, its bytes in every form, and what it waits for."""

import pickle
from datetime import timedelta
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2

from mizzen.xds import Resource
from mizzen.xds.response import Dialect, ResponseContent
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, RESOURCE, ROUTE, VIRTUAL_HOST
from tests.unit.xds.xds_driver import Driver, endpoint

TTL = timedelta(seconds=9)


def decoded(field: bytes) -> Any:
    """The one resource in a `resources` field of an incremental response."""
    [resource] = discovery_pb2.DeltaDiscoveryResponse.FromString(field).resources
    return resource


def decoded_any(field: bytes) -> Any:
    """The one resource in a `resources` field of a state-of-the-world response."""
    [resource] = discovery_pb2.DiscoveryResponse.FromString(field).resources
    return resource


class TestFromAMessage:
    def test_type_name_and_bytes(self) -> None:
        message = cluster_pb2.Cluster(name="a", alt_stat_name="b")
        resource = Resource.of(message)
        assert (resource.type_url, resource.name) == (CLUSTER, "a")
        assert cluster_pb2.Cluster.FromString(resource.value) == message

    def test_a_load_assignment_is_named_after_its_cluster(self) -> None:
        resource = Resource.of(endpoint_pb2.ClusterLoadAssignment(cluster_name="a"))
        assert (resource.type_url, resource.name) == (ENDPOINT, "a")

    def test_another_name_and_what_is_known_besides(self) -> None:
        resource = Resource.of(
            cluster_pb2.Cluster(name="a"), name="b", origins=("file:1",), ttl=TTL, aliases=("c",)
        )
        assert (resource.name, resource.origins, resource.ttl, resource.aliases) == (
            "b",
            ("file:1",),
            TTL,
            ("c",),
        )

    def test_equal_messages_have_equal_bytes(self) -> None:
        """Whatever the order in which a map was filled: else every restart would send everything again."""
        keys = [str(number) for number in range(50)]
        one, other = base_pb2.Metadata(), base_pb2.Metadata()
        for message, order in ((one, keys), (other, keys[::-1])):
            for key in order:
                message.filter_metadata[key].update({"x": 1.0})
        resources = [Resource.of(cluster_pb2.Cluster(name="a", metadata=each)) for each in (one, other)]
        assert resources[0].value == resources[1].value
        assert resources[0].version == resources[1].version


class TestWhatAClusterWaitsFor:
    """Resource warming, the note on Envoy: a changed EDS cluster warms when its endpoints come anew."""

    def eds(self, **fields: Any) -> Any:
        return cluster_pb2.Cluster(name="a", type=cluster_pb2.Cluster.EDS, **fields)

    def test_its_endpoints_by_its_own_name(self) -> None:
        assert Resource.of(self.eds()).children == ((ENDPOINT, "a"),)

    def test_or_by_the_name_that_it_gives_them(self) -> None:
        config = cluster_pb2.Cluster.EdsClusterConfig(service_name="b")
        assert Resource.of(self.eds(eds_cluster_config=config)).children == ((ENDPOINT, "b"),)

    @pytest.mark.parametrize("kind", ["STATIC", "STRICT_DNS", "LOGICAL_DNS", "ORIGINAL_DST"])
    def test_a_cluster_of_another_kind_waits_for_nothing(self, kind: str) -> None:
        assert Resource.of(cluster_pb2.Cluster(name="a", type=kind)).children == ()

    def test_nor_does_one_that_an_extension_makes(self) -> None:
        message = cluster_pb2.Cluster(name="a")
        message.cluster_type.name = "envoy.clusters.dynamic_forward_proxy"
        assert Resource.of(message).children == ()

    def test_nor_does_anything_else(self) -> None:
        assert Resource.of(endpoint_pb2.ClusterLoadAssignment(cluster_name="a")).children == ()


class TestVersions:
    def test_an_owner_may_have_versions_of_their_own(self) -> None:
        assert Resource(ENDPOINT, "a", b"a", "7").version == "7"

    def test_content_and_nothing_else(self) -> None:
        versions = {
            Resource(ENDPOINT, name, b"same", origins=(name,), children=((ENDPOINT, name),)).version
            for name in "ab"
        }
        assert len(versions) == 1
        assert len(versions.pop()) == 24

    def test_whatever_a_client_has_to_hear_of_changes_it(self) -> None:
        """TTL: a changed one is sent. Aliases: somebody may be waiting for the new one."""
        different = [
            Resource(ENDPOINT, "a", b"other"),
            Resource(ENDPOINT, "a", b"same"),
            Resource(ENDPOINT, "a", b"same", ttl=TTL),
            Resource(ENDPOINT, "a", b"same", ttl=2 * TTL),
            Resource(ENDPOINT, "a", b"same", aliases=("x",)),
            Resource(ENDPOINT, "a", b"same", aliases=("x", "y")),
            Resource(ENDPOINT, "a", b"same", aliases=("xy",)),
        ]
        assert len({each.version for each in different}) == len(different)

    def test_a_mark_is_of_name_and_version(self) -> None:
        marks = [Resource(ENDPOINT, name, b"", version).mark for name, version in (("a", "bc"), ("ab", "c"))]
        assert marks[0] != marks[1]
        assert marks[0] == Resource(CLUSTER, "a", b"other", "bc").mark


class TestTimeToLive:
    """ "TTL" and "SotW TTL"."""

    RESOURCE = Resource(ROUTE, "r", b"body", ttl=TTL, aliases=("x", "y"))

    @pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1)])
    def test_it_must_be_positive(self, ttl: timedelta) -> None:
        with pytest.raises(ValueError, match="a TTL must be positive"):
            Resource(ROUTE, "r", b"", ttl=ttl)

    def test_it_may_be_short(self) -> None:
        resource = Resource(ROUTE, "r", b"", ttl=timedelta(microseconds=1))
        assert decoded(resource.delta_field(ttl=True)).ttl.nanos == 1000

    def test_an_incremental_client_that_knows_it(self) -> None:
        resource = decoded(self.RESOURCE.delta_field(ttl=True))
        assert (resource.name, resource.version, resource.ttl.seconds) == ("r", self.RESOURCE.version, 9)
        assert (resource.resource.type_url, resource.resource.value) == (ROUTE, b"body")
        assert list(resource.aliases) == ["x", "y"]

    def test_one_that_does_not(self) -> None:
        resource = decoded(self.RESOURCE.delta_field())
        assert not resource.HasField("ttl")
        assert resource.resource.value == b"body"

    def test_state_of_the_world_wraps_it(self) -> None:
        outer = decoded_any(self.RESOURCE.sotw_field(ttl=True))
        assert outer.type_url == RESOURCE
        inner = discovery_pb2.Resource.FromString(outer.value)
        assert (inner.name, inner.ttl.seconds, inner.resource.value) == ("r", 9, b"body")

    def test_a_heartbeat_in_state_of_the_world_is_wrapped_and_has_no_body(self) -> None:
        outer = decoded_any(self.RESOURCE.heartbeat_field(wrapped=True))
        assert outer.type_url == RESOURCE
        inner = discovery_pb2.Resource.FromString(outer.value)
        assert (inner.name, inner.version, inner.ttl.seconds) == ("r", self.RESOURCE.version, 9)
        assert not inner.HasField("resource")

    def test_an_incremental_heartbeat_has_no_body_either(self) -> None:
        resource = decoded(self.RESOURCE.heartbeat_field(wrapped=False))
        assert (resource.name, resource.version, resource.ttl.seconds) == ("r", self.RESOURCE.version, 9)
        assert not resource.HasField("resource")

    def test_a_stream_of_state_of_the_world_sends_such_heartbeats(self) -> None:
        driver = Driver(self.RESOURCE, ttl=True)
        [said] = driver.say(ROUTE, "r")
        driver.ack(said, "r")
        [beat] = driver.wait(3.1)
        [outer] = beat.message.resources
        assert outer.type_url == RESOURCE
        assert not discovery_pb2.Resource.FromString(outer.value).HasField("resource")

    def test_what_has_none_is_never_wrapped(self) -> None:
        resource = endpoint("a")
        assert resource.sotw_field(ttl=True) is resource.sotw_field()
        assert resource.delta_field(ttl=True) == resource.delta_field()


class TestBytes:
    @pytest.mark.parametrize("form", ["sotw_field", "delta_field"])
    def test_all_receivers_share_them(self, form: str) -> None:
        resource = endpoint("a")
        assert getattr(resource, form)() is getattr(resource, form)()

    def test_a_response_without_a_control_plane_says_nothing_of_it(self) -> None:
        for delta, message in (
            (False, discovery_pb2.DiscoveryResponse),
            (True, discovery_pb2.DeltaDiscoveryResponse),
        ):
            said = message.FromString(
                ResponseContent(ENDPOINT, "1", (endpoint("a"),)).encode(Dialect(delta), "n")
            )
            assert not said.HasField("control_plane")
            named = Dialect(delta, control_plane="me")
            said = message.FromString(ResponseContent(ENDPOINT, "1", (endpoint("a"),)).encode(named, "n"))
            assert said.control_plane.identifier == "me"

    def test_one_batch_in_different_dialects_and_under_different_nonces(self) -> None:
        batch = ResponseContent(ENDPOINT, "1", (Resource(ENDPOINT, "a", b"body", ttl=TTL),), ("b",))
        plain, with_ttl = Dialect(True), Dialect(True, ttl=True)
        for dialect, nonce in ((plain, "1"), (plain, "2"), (with_ttl, "2"), (plain, "2"), (plain, "1")):
            said = discovery_pb2.DeltaDiscoveryResponse.FromString(batch.encode(dialect, nonce))
            assert (said.nonce, list(said.removed_resources)) == (nonce, ["b"])
            assert said.resources[0].HasField("ttl") == dialect.ttl
        assert batch.encode(plain, "1") is batch.encode(plain, "1")

    def test_an_unresolved_name_has_no_body(self) -> None:
        found = Resource.unresolved(VIRTUAL_HOST, "routes/x")
        assert (found.name, found.aliases) == ("routes/x", ("routes/x",))
        expected = discovery_pb2.Resource(name="routes/x", aliases=["routes/x"])
        assert decoded(found.delta_field()) == decoded(found.delta_field(ttl=True)) == expected


def test_a_message_in_pieces_is_that_message() -> None:
    whole = endpoint("a")
    pieces = (whole.value[:3], whole.value[3:], b"")
    joined = Resource.joined(whole.type_url, whole.name, pieces, whole.version, ("x.yaml:1",))
    assert (joined.value, joined.origins) == (whole.value, ("x.yaml:1",))
    assert joined.delta_field() == whole.delta_field()
    assert joined.sotw_field() == whole.sotw_field()
    assert pickle.loads(pickle.dumps(joined)).value == whole.value
    assert (joined.pieces, whole.pieces) == (pieces, (whole.value,))


def test_origins_are_found_when_they_are_asked_for() -> None:
    asked: list[str] = []

    def found() -> tuple[str, ...]:
        asked.append("a")
        return ("x.yaml:1",)

    joined = Resource.joined(ENDPOINT, "a", (b"",), "1", found)
    assert not asked
    assert (joined.origins, joined.origins, asked) == (("x.yaml:1",), ("x.yaml:1",), ["a"])


def test_a_resource_cannot_be_changed() -> None:
    resource = endpoint("a")
    with pytest.raises(AttributeError, match="a Resource cannot be changed: value"):
        resource.value = b""


def test_a_resource_that_is_printed_does_not_show_what_it_holds() -> None:
    """It may be a private key."""
    shown = repr(Resource(ENDPOINT, "a", b"secret", "7"))
    assert shown == "<Resource ClusterLoadAssignment 'a' version 7>"
