"""The client status discovery service: https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/status/v3/csds.proto"""

from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from envoy.admin.v3 import config_dump_shared_pb2 as shared
from envoy.config.core.v3 import base_pb2
from envoy.service.status.v3 import csds_pb2

from mizzen.xds import Resource, csds
from mizzen.xds.group import Group
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, ROUTE, SECRET
from tests.unit.xds.xds_driver import Driver, cluster, endpoint

Status = shared.ClientResourceStatus


class Aborted(Exception):
    pass


class Context:
    """Of a call without a network, with one request."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def read(self) -> bytes:
        return self.data

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise Aborted(code, details)


async def ask(*drivers: Driver, data: bytes | None = None, **request: Any) -> Any:
    """The answer of the service about these clients."""
    connections = [
        SimpleNamespace(
            node=csds.essential_node(base_pb2.Node(id=driver.stream.client.node_id)), stream=driver.stream
        )
        for driver in drivers
    ]
    fetch = csds.handlers(lambda: connections, lambda serve: serve)["FetchClientStatus"].stream_unary
    if data is None:
        data = csds_pb2.ClientStatusRequest(**request).SerializeToString()
    return csds_pb2.ClientStatusResponse.FromString(await fetch(None, Context(data)))


async def of(driver: Driver, **request: Any) -> dict[tuple[str, str], Any]:
    """What it says of one client, by type and name."""
    [config] = (await ask(driver, **request)).config
    return {(each.type_url, each.name): each for each in config.generic_xds_configs}


class TestAResource:
    async def test_that_was_asked_for_and_does_not_exist(self) -> None:
        driver = Driver(endpoint("a"), delta=True)
        driver.ack(driver.say(ENDPOINT, "x")[0])
        found = (await of(driver))[ENDPOINT, "x"]
        assert found.client_status == Status.REQUESTED
        assert not found.version_info
        assert not found.HasField("xds_config")

    async def test_that_was_asked_for_and_could_not_be_sent_yet(self) -> None:
        driver = Driver(group=Group("all"), delta=True)
        driver.say(ENDPOINT, "a")
        assert (await of(driver))[ENDPOINT, "a"].client_status == Status.REQUESTED

    async def test_from_sending_to_acceptance(self) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=True)
        [said] = driver.say(ENDPOINT, "a", "b")
        assert {each.client_status for each in (await of(driver)).values()} == {Status.REQUESTED}
        driver.ack(said)
        found = await of(driver)
        assert set(found) == {(ENDPOINT, "a"), (ENDPOINT, "b")}
        for name in "ab":
            each = found[ENDPOINT, name]
            assert (each.client_status, each.version_info) == (Status.ACKED, endpoint(name).version)
            assert (each.xds_config.type_url, each.xds_config.value) == (ENDPOINT, f"{name} 1".encode())
            assert not each.HasField("error_state")
        driver.change(endpoint("a", "2"))
        found = await of(driver)
        assert found[ENDPOINT, "a"].client_status == Status.REQUESTED
        assert found[ENDPOINT, "a"].xds_config.value == b"a 2"
        assert found[ENDPOINT, "b"].client_status == Status.ACKED

    async def test_under_the_wildcard(self) -> None:
        driver = Driver(cluster("b"), cluster("a"), endpoint("x"), delta=True)
        driver.ack(driver.say(CLUSTER)[0])
        [config] = (await ask(driver)).config
        assert [(each.type_url, each.name) for each in config.generic_xds_configs if each.version_info] == [
            (CLUSTER, "a"),
            (CLUSTER, "b"),
        ]

    async def test_only_what_was_asked_for(self) -> None:
        driver = Driver(endpoint("a"), endpoint("b"), delta=True)
        driver.ack(driver.say(ENDPOINT, "a")[0])
        assert set(await of(driver)) == {(ENDPOINT, "a")}

    async def test_that_was_refused_and_has_no_older_version(self) -> None:
        driver = Driver(cluster("a", "bad"), cluster("b"), endpoint("a"), delta=True)
        driver.ack(driver.say(ENDPOINT, "a")[0])
        said, _ = driver.say(CLUSTER)
        error = "Error adding/updating cluster(s) a: it is bad"
        for again in driver.say(CLUSTER, nonce=said.nonce, error=error):
            driver.ack(again)
        found = await of(driver)
        refused = found[CLUSTER, "a"]
        assert (refused.client_status, refused.version_info) == (Status.NACKED, "")
        assert refused.error_state.details == error
        assert refused.error_state.version_info == cluster("a", "bad").version
        assert found[CLUSTER, "b"].client_status == Status.ACKED
        assert found[ENDPOINT, "a"].client_status != Status.NACKED  # the name of another type

    async def test_that_was_refused_and_keeps_its_older_version(self) -> None:
        driver = Driver(endpoint("a"), delta=True)
        driver.ack(driver.say(ENDPOINT, "a")[0])
        [said] = driver.change(endpoint("a", "bad"))
        driver.say(ENDPOINT, nonce=said.nonce, error="it is bad")
        refused = (await of(driver))[ENDPOINT, "a"]
        assert refused.client_status == Status.NACKED
        assert refused.error_state.version_info == endpoint("a", "bad").version
        assert refused.xds_config.value == b"a 1"

    async def test_that_a_nameless_rejection_may_mean(self) -> None:
        driver = Driver(*(cluster(name) for name in "abc"), delta=True)
        [said] = driver.say(CLUSTER)
        driver.say(CLUSTER, nonce=said.nonce, error="something is bad")
        found = await of(driver)
        assert {name for (_, name), each in found.items() if each.client_status == Status.NACKED} == set(
            "abc"
        )
        assert {each.error_state.details for each in found.values()} == {"something is bad"}
        assert {each.error_state.version_info for each in found.values()} == {said.version}

    async def test_that_is_secret(self) -> None:
        driver = Driver(Resource(SECRET, "s", b"a private key"), endpoint("a"), delta=True)
        driver.ack(driver.say(SECRET, "s")[0])
        found = (await of(driver))[SECRET, "s"]
        assert (found.client_status, bool(found.version_info)) == (Status.ACKED, True)
        assert not found.HasField("xds_config")

    async def test_whose_content_nobody_wants(self) -> None:
        driver = Driver(endpoint("a"), delta=True)
        driver.ack(driver.say(ENDPOINT, "a")[0])
        found = (await of(driver, exclude_resource_contents=True))[ENDPOINT, "a"]
        assert found.version_info
        assert not found.HasField("xds_config")

    async def test_of_several_types(self) -> None:
        driver = Driver(endpoint("a"), Resource(ROUTE, "r", b"r"), delta=True)
        driver.say(ENDPOINT, "a")
        driver.say(ROUTE, "r")
        assert set(await of(driver)) == {(ENDPOINT, "a"), (ROUTE, "r")}


class TestWhichClients:
    @pytest.mark.parametrize(
        ("matcher", "expected"),
        [
            ({"exact": "one"}, ["one"]),
            ({"exact": "ONE"}, []),
            ({"exact": "ONE", "ignore_case": True}, ["one"]),
            ({"prefix": "tw"}, ["two", "Twenty"][:1]),
            ({"prefix": "TW", "ignore_case": True}, ["two", "Twenty"]),
            ({"suffix": "o"}, ["two"]),
            ({"suffix": "ty"}, ["Twenty"]),
            ({"contains": "n"}, ["one", "Twenty"]),
            ({"contains": "x"}, []),
            ({"ignore_case": True}, []),
            ({"safe_regex": {"regex": ".*"}}, []),  # it says more than this service can compare
            ({"safe_regex": {"regex": ".*"}, "ignore_case": True}, []),
        ],
    )
    async def test_by_the_id_of_the_node(self, matcher: dict[str, Any], expected: list[str]) -> None:
        drivers = [Driver(node_id=node_id) for node_id in ("one", "two", "Twenty")]
        response = await ask(*drivers, node_matchers=[{"node_id": matcher}])
        assert [config.node.id for config in response.config] == expected

    async def test_all_without_a_matcher_and_those_of_any(self) -> None:
        drivers = [Driver(node_id=node_id) for node_id in ("one", "two", "three")]
        assert [config.node.id for config in (await ask(*drivers)).config] == ["one", "two", "three"]
        matchers = [{"node_id": {"exact": "one"}}, {"node_id": {"exact": "three"}}]
        response = await ask(*drivers, node_matchers=matchers)
        assert [config.node.id for config in response.config] == ["one", "three"]

    @pytest.mark.parametrize(
        "matcher",
        [{}, {"node_metadatas": [{"path": [{"key": "x"}], "value": {"string_match": {"exact": "y"}}}]}],
    )
    async def test_a_matcher_that_cannot_be_compared_matches_nothing(self, matcher: dict[str, Any]) -> None:
        for node_id in ({}, {"node_id": {"exact": "one"}})[: 1 + bool(matcher)]:
            response = await ask(Driver(node_id="one"), node_matchers=[{**matcher, **node_id}])
            assert list(response.config) == []

    async def test_a_request_that_is_none(self) -> None:
        with pytest.raises(Aborted) as caught:
            await ask(data=b"\xff\xff")
        code, details = caught.value.args
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert details.startswith("cannot decode a ClientStatusRequest")


def test_a_node_is_kept_without_its_extensions() -> None:
    node = base_pb2.Node(id="a", extensions=[{"name": "x"}])
    assert base_pb2.Node.FromString(csds.essential_node(node)) == base_pb2.Node(id="a")
    assert not node.extensions
