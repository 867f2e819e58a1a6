"""Aliases, names that do not exist, and the naming of virtual hosts."""

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from mizzen.xds import Rejected, Resource
from mizzen.xds.type_urls import ENDPOINT, ROUTE, VIRTUAL_HOST
from tests.unit.xds.xds_driver import Driver, endpoint


def aliased(text: str, *aliases: str, name: str = "a") -> Resource:
    return Resource(ROUTE, name, f"{name} {text}".encode(), aliases=aliases)


def one(said):
    assert len(said) == 1, said
    return said[0]


class TestAliases:
    """Subscribing to Resources: "Both the names and aliases of resources should be checked"."""

    def test_an_alias_that_is_new_is_sent_to_who_waits_for_it(self) -> None:
        driver = Driver(aliased("1"), delta=True)
        driver.ack(one(driver.say(ROUTE, "x")))
        assert one(driver.change(aliased("1", "x"))).values == ["a 1"]

    def test_who_asked_by_an_alias_is_told_that_it_went(self) -> None:
        driver = Driver(aliased("1", "x"), delta=True)
        driver.ack(one(driver.say(ROUTE, "x")))
        said = one(driver.change(aliased("2")))
        assert (said.values, said.removed) == ([], ["a"])

    def test_a_reconnecting_client_is_believed_by_the_name(self) -> None:
        driver = Driver(aliased("1", "x"), delta=True)
        assert driver.say(ROUTE, "x", initial_versions={"a": aliased("1", "x").version}) == []
        assert one(driver.change(aliased("2", "x"))).values == ["a 2"]

    def test_a_reconnecting_client_is_told_of_what_went_whatever_it_calls_it(self) -> None:
        driver = Driver(delta=True)
        said = one(driver.say(ROUTE, "x", initial_versions={"a": "1"}))
        assert said.removed == ["a", "x"]

    def test_a_rejection_of_what_was_asked_for_by_an_alias(self) -> None:
        driver = Driver(aliased("1", "x"), aliased("1", "y", name="b"), delta=True)
        driver.ack(one(driver.say(ROUTE, "other")))
        first = one(driver.say(ROUTE, "x", "y"))
        again = driver.say(ROUTE, nonce=first.nonce, error="resource index 0: a: it is bad")
        rejected = next(event for event in driver.events if isinstance(event, Rejected))
        assert [resource.name for resource in rejected.culprits] == ["a"]
        assert one(again).values == ["b 1"]

    def test_unsubscribing_by_an_alias(self) -> None:
        driver = Driver(aliased("1", "x"), delta=True)
        driver.ack(one(driver.say(ROUTE, "x")))
        assert driver.say(ROUTE, unsubscribe=("x",)) == []
        assert driver.change(aliased("2", "x")) == []

    def test_heartbeats_reach_who_asked_by_an_alias(self) -> None:
        from datetime import timedelta

        fault = Resource(ROUTE, "a", b"a 1", ttl=timedelta(seconds=9), aliases=("x",))
        driver = Driver(fault, delta=True, ttl=True)
        driver.ack(one(driver.say(ROUTE, "x")))
        beat = one(driver.wait(3.1))
        assert [each.name for each in beat.message.resources] == ["a"]
        assert not beat.message.resources[0].HasField("resource")


class TestVirtualHosts:
    """https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/vhds"""

    HOST = Resource(VIRTUAL_HOST, "routes/shop", b"shop 1", aliases=("routes/shop.example",))

    def test_a_host_is_found_by_the_name_of_its_routes_and_the_host(self) -> None:
        driver = Driver(self.HOST, delta=True)
        said = one(driver.say(VIRTUAL_HOST, "routes/shop.example"))
        assert list(said.message.resources[0].aliases) == ["routes/shop.example"]

    def test_an_unknown_host_is_answered_with_a_resource_without_a_body(self) -> None:
        driver = Driver(self.HOST, delta=True)
        said = one(driver.say(VIRTUAL_HOST, "routes/nobody"))
        expected = discovery_pb2.Resource(name="routes/nobody", aliases=["routes/nobody"])
        assert (list(said.message.resources), said.removed) == ([expected], [])
        assert driver.ack(said) == []
        found = Resource(VIRTUAL_HOST, "routes/nobody", b"found")
        assert one(driver.change(found)).values == ["found"]

    def test_a_host_that_went_is_removed(self) -> None:
        driver = Driver(self.HOST, delta=True)
        driver.ack(one(driver.say(VIRTUAL_HOST, "routes/shop")))
        assert one(driver.change(removed=((VIRTUAL_HOST, "routes/shop"),))).removed == ["routes/shop"]

    def test_a_host_that_went_while_the_client_was_away_is_removed(self) -> None:
        driver = Driver(delta=True)
        said = one(driver.say(VIRTUAL_HOST, "routes/shop", initial_versions={"routes/shop": "1"}))
        assert (list(said.message.resources), said.removed) == ([], ["routes/shop"])


class TestFallbacks:
    @pytest.fixture(params=[False, True], ids=["sotw", "delta"])
    def delta(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param)

    def test_a_refused_fallback_is_not_sent_again(self, delta: bool) -> None:
        """Else the two would go on like that for ever."""
        driver = Driver(delta=delta, fallback=lambda type_url, name: Resource(type_url, name, b"bad"))
        said = driver.say(ENDPOINT, "a")
        for _ in range(3):
            if said and said[0].values:
                said = driver.say(
                    ENDPOINT, *() if delta else ("a",), nonce=said[0].nonce, error="it is bad: a"
                )
        assert [each.values for each in said] in ([], [[]])
        if delta:
            assert one(said).removed == ["a"]
        later = Driver(delta=delta, group=driver.group, fallback=driver.stream._fallback)
        assert [each.values for each in later.say(ENDPOINT, "a")] in ([], [[]])

    def test_a_name_is_not_both_sent_and_removed(self) -> None:
        """Envoy refuses such a response as a whole."""
        driver = Driver(endpoint("a"), delta=True, fallback=lambda t, n: Resource(t, n, b"empty"))
        driver.ack(one(driver.say(ENDPOINT, "a")))
        driver.group.update((), [(ENDPOINT, "a")])
        said = one(driver.say(ENDPOINT, "a"))
        assert (said.values, said.removed) == (["empty"], [])

    def test_what_went_while_the_client_was_away_has_no_fallback(self) -> None:
        """It holds it: a draining listener must not lose its routes."""
        driver = Driver(delta=True, fallback=lambda t, n: Resource(t, n, b"empty"))
        said = one(driver.say(ROUTE, "r", initial_versions={"r": "1"}))
        assert (said.values, said.removed) == ([], ["r"])
