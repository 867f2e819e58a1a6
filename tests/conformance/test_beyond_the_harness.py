"""Rules of the specification that the public harness does not look at, seen over real gRPC.

The words in quotation marks are headings of
https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol.
"""

from __future__ import annotations

import grpc
import pytest

from mizzen.xds.ordering import RETAINED
from mizzen.xds.type_urls import CLUSTER, ROUTE
from tests.conformance.cases import EVERY, FULL, PARTIAL, cases
from tests.conformance.peer import ALL, INCREMENTAL, SOTW


@cases(ALL, FULL)
async def test_the_wildcard_by_its_name(target, variant, type_url) -> None:
    """ "How the client specifies what resources to return": `*` is as good as an empty first request."""
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "*")
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await target.add(type_url, "C", "2")
    await peer.until(lambda: "C" in peer.held(type_url))
    await target.quiet()
    assert len(peer.told) == 2


@cases(INCREMENTAL, EVERY)
async def test_the_wildcard_of_the_incremental_variants(target, variant, type_url) -> None:
    """The same section: an empty first request."""
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url)
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await target.remove(type_url, "A", "2")
    await peer.until_held(type_url, {"B": "1"})
    await target.quiet()


@cases(ALL, EVERY)
async def test_a_refused_response_is_not_sent_again_but_what_follows_is(target, variant, type_url) -> None:
    """ "ACK and NACK semantics summary": error_detail makes a NACK; the server must not repeat the same."""
    await target.serve((type_url,), "A")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A")
    await peer.until_held(type_url, {"A": "1"})
    peer.refuse = lambda told: "A: bad" if told.version == "2" else ""
    await target.update(type_url, "A", "2")
    await peer.until(lambda: peer.told[-1].version == "2")
    await target.quiet()
    assert [told.version for told in peer.told].count("2") == 1
    (held,) = target.server.clients()[0].rejected
    assert (held.resource.name, held.resource.version, held.message) == ("A", "2", "A: bad")
    assert peer.held(type_url) == {"A": "1"}
    await target.update(type_url, "A", "3")
    await peer.until_held(type_url, {"A": "3"})
    await target.quiet()


@cases(SOTW, EVERY)
async def test_a_request_with_a_stale_nonce_is_not_answered(target, variant, type_url) -> None:
    """ "Resource updates": it belongs to a response that is not the newest any more."""
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A")
    await peer.until_held(type_url, {"A": "1"})
    stale = peer.told[-1].nonce
    await target.update(type_url, "A", "2")
    await peer.until_held(type_url, {"A": "2"})
    await target.quiet()
    await peer.subscribe(type_url, "B", response_nonce=stale)
    await peer.subscribe(type_url, "A")
    await target.update(type_url, "B", "3")
    await target.update(type_url, "A", "4")
    await peer.until(lambda: peer.held(type_url).get("A") == "4")
    assert all(told.names == {"A"} for told in peer.told)


@cases(INCREMENTAL, EVERY)
async def test_names_count_though_the_nonce_is_stale(target, variant, type_url) -> None:
    """ "Incremental xDS": subscriptions do not depend on the nonce."""
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A")
    await peer.until_held(type_url, {"A": "1"})
    stale = peer.told[-1].nonce
    await target.update(type_url, "A", "2")
    await peer.until_held(type_url, {"A": "2"})
    await peer.subscribe(type_url, "B", response_nonce=stale)
    await peer.until(lambda: "B" in peer.held(type_url))
    await target.quiet()


@cases(ALL, EVERY)
async def test_who_asks_again_is_told_again(target, variant, type_url) -> None:
    """ "Subscribing to Resources": the client may have forgotten what it gave up."""
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "B")
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await target.quiet()
    if variant.delta:
        await peer.unsubscribe(type_url, "B")
    else:
        await peer.subscribe(type_url, "A")
    await target.heard(type_url, "A")
    await target.quiet()
    told = len(peer.told)
    await peer.subscribe(type_url, *(("B",) if variant.delta else ("A", "B")))
    await peer.until(lambda: len(peer.told) > told)
    await target.quiet()
    assert "B" in peer.told[-1].names
    assert len(peer.told) == told + 1


@cases(INCREMENTAL, EVERY)
async def test_who_asks_for_what_it_has_is_told_again(target, variant, type_url) -> None:
    """The same section: whatever the server believes that the client has."""
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "B")
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await peer.subscribe(type_url, "A")
    await peer.until(lambda: len(peer.told) == 2)
    assert peer.told[1].names == {"A"}


@cases(INCREMENTAL, EVERY)
async def test_a_name_besides_the_wildcard_is_given_up(target, variant, type_url) -> None:
    """ "Unsubscribing from Resources": the client is told whether the wildcard still has it."""
    await target.serve((type_url,), "A")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "*", "A", "Z")
    await peer.until_held(type_url, {"A": "1"})
    await target.quiet()
    told = len(peer.told)
    await peer.unsubscribe(type_url, "A", "Z")
    await peer.until(lambda: len(peer.told) > told)
    await target.quiet()
    assert [(each.names, each.removed) for each in peer.told[told:]] == [({"A"}, {"Z"})]


@cases(INCREMENTAL, EVERY)
async def test_a_reconnecting_client_is_sent_what_differs(target, variant, type_url) -> None:
    """ "Incremental xDS": initial_resource_versions; versions are the harness's here, hashes otherwise."""
    await target.serve((type_url,), "A,B,C")
    await target.update(type_url, "B", "2")
    peer = target.peer(variant, type_url)
    await peer.subscribe(
        type_url, "A", "B", "C", "D", initial_resource_versions={"A": "1", "B": "1", "C": "1", "D": "1"}
    )
    await peer.until(lambda: bool(peer.told))
    await target.quiet()
    if variant.aggregated and type_url in RETAINED:
        # Make before break: it may use what went until it has listeners and routes without it.
        await peer.until(lambda: len(peer.told) == 2)
        assert [(told.names, told.removed) for told in peer.told] == [({"B"}, set()), (set(), {"D"})]
        return
    assert [(told.names, told.removed) for told in peer.told] == [({"B"}, {"D"})]


@cases(INCREMENTAL, EVERY)
async def test_a_reconnecting_client_that_has_everything_is_sent_nothing(target, variant, type_url) -> None:
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "B", initial_resource_versions={"A": "1", "B": "1"})
    await target.update(type_url, "B", "2")
    await peer.until_held(type_url, {"B": "2"})
    await target.quiet()
    assert [told.names for told in peer.told] == [{"B"}]


@cases(SOTW, FULL)
async def test_what_is_removed_is_left_out_of_the_next_response(target, variant, type_url) -> None:
    """ "Deleting Resources": the types of which each response says all."""
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url)
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await target.remove(type_url, "B", "2")
    await peer.until(lambda: peer.held(type_url).keys() == {"A"})
    await target.quiet()


@cases(SOTW, PARTIAL)
async def test_what_is_removed_is_not_mentioned(target, variant, type_url) -> None:
    """The same section: the other types have no way to say it."""
    await target.serve((type_url,), "A,B")
    peer = target.peer(variant, type_url)
    await peer.subscribe(type_url, "A", "B")
    await peer.until_held(type_url, {"A": "1", "B": "1"})
    await target.remove(type_url, "B", "2")
    await target.quiet()
    assert len(peer.told) == 1


@pytest.mark.parametrize("variant", ALL, ids=str)
async def test_a_stream_for_one_type_serves_no_other(target, variant) -> None:
    await target.serve((CLUSTER, ROUTE), "A")
    peer = target.peer(variant, CLUSTER)
    await peer.subscribe(ROUTE, "A")
    if variant.aggregated:
        await peer.until_held(ROUTE, {"A": "1"})
        return
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await peer.ended()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("variant", ALL, ids=str)
async def test_nonces_of_an_earlier_stream_mean_nothing(target, variant) -> None:
    """ "Basic Protocol Overview": the first request of a stream is no answer, whatever nonce it brings."""
    await target.serve((ROUTE,), "A")
    peer = target.peer(variant, ROUTE)
    await peer.subscribe(ROUTE, "A", response_nonce="1")
    await peer.until_held(ROUTE, {"A": "1"})
    await target.quiet()
