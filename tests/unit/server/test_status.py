"""What `GET /status` says of proxies: where each stands, and what Envoys refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mizzen import xds
from mizzen.config import Origin
from mizzen.mesh.proxy.node import Proxy
from mizzen.server import status
from mizzen.server.status import proxy_status, rejections, state_of
from mizzen.xds.group import RejectedResource
from tests.unit.server.secret_listeners import listener_naming

CDS, EDS = xds.type_urls.CLUSTER, xds.type_urls.ENDPOINT
ID = "sidecar~10.0.0.7~reviews-v1.shop~shop.svc.cluster.local"
PROXY = Proxy.from_node({"id": ID})
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def held(type_url: str = CDS, **changes: Any) -> xds.TypeStatus:
    """A type that is as it should be, with `changes`."""
    whole = xds.TypeStatus(
        type_url,
        wildcard=type_url == CDS,
        names=frozenset(),
        sent_version="v2",
        sent_nonce="7",
        sent_at=1000.0,
        accepted_version="v1",
        accepted_at=999.5,
        pending=False,
        stuck=(),
        error=None,
        error_names=(),
        synced=True,
        bytes_sent=512,
        responses=2,
    )
    return replace(whole, **changes)


def client(*types: xds.TypeStatus, **changes: Any) -> xds.ClientStatus:
    by_url = {each.type_url: each for each in types}
    made = xds.ClientStatus(1, ID, "group", "ipv4:127.0.0.1:5", METHOD, 900.0, "rest", by_url)
    return replace(made, **changes)


def resource(name: str, *origins: Origin, type_url: str = CDS) -> xds.Resource:
    return xds.Resource(type_url, name, b"swordfish", origins=origins)


REFUSED = RejectedResource(resource("bad"), None, "no")


@pytest.mark.parametrize(
    ("changes", "phase", "state"),
    [
        ({}, "rest", "ACKED"),
        ({"error": "no", "stuck": ("a",), "pending": True}, "rest", "REJECTED"),
        ({"error": ""}, "rest", "REJECTED"),
        ({"stuck": ("a",), "pending": True}, "warming", "STUCK"),
        ({"pending": True, "synced": False, "responses": 0}, "rest", "PENDING"),
        ({"synced": False, "responses": 0}, "rest", "NOT_SENT"),
        ({"synced": True, "responses": 0}, "rest", "ACKED"),
        ({"synced": False}, "warming", "PENDING"),
        ({"synced": False}, "rest", "ACKED"),
        ({"synced": True}, "warming", "ACKED"),
    ],
)
def test_the_state_of_a_type(changes: dict[str, Any], phase: str, state: str) -> None:
    each = held(**changes)
    assert state_of(client(each, phase=phase), each) == state


@pytest.mark.parametrize(
    ("each", "state"),
    [
        (held(), "REJECTED"),
        (held(wildcard=False, names=frozenset({"bad", "good"})), "REJECTED"),
        (held(wildcard=False, names=frozenset({"good"})), "ACKED"),
        (held(EDS, wildcard=True), "ACKED"),
    ],
)
def test_it_is_rejected_while_something_is_wanted_that_was_refused(each: xds.TypeStatus, state: str) -> None:
    assert state_of(client(each, rejected=(REFUSED,)), each) == state


def test_what_is_said_of_a_proxy() -> None:
    asked = held(EDS, names=frozenset({"b", "a", "gone"}), pending=True, stuck=("b",), synced=False)
    snapshot = xds.Snapshot.of(
        [resource("a"), resource("b"), *(resource(name, type_url=EDS) for name in ("a", "b", "c"))]
    )
    told = proxy_status(client(held(), asked), PROXY, snapshot, 1002.25, warnings=["look"])
    types = told.pop("types")
    assert told == {
        "id": "reviews-v1.shop",
        "node_id": ID,
        "type": "sidecar",
        "namespace": "shop",
        "envoy_version": "",
        "warnings": [*PROXY.warnings, "look"],
        "peer": "ipv4:127.0.0.1:5",
        "method": "DeltaAggregatedResources",
        "connected": "1970-01-01T00:15:00.000+00:00",
        "connected_seconds": 102.25,
        "phase": "rest",
        "synced": False,
    }
    assert list(types) == ["CDS", "EDS"]
    assert types["CDS"] == {
        "state": "ACKED",
        "type_url": CDS,
        "subscribed": "*",
        "resources": 2,
        "sent_version": "v2",
        "sent": "1970-01-01T00:16:40.000+00:00",
        "acked_version": "v1",
        "acked": "1970-01-01T00:16:39.500+00:00",
        "pending_seconds": None,
        "waiting_for": [],
        "missing": [],
        "error": None,
        "bytes_sent": 512,
        "responses": 2,
    }
    eds = types["EDS"]
    assert (eds["subscribed"], eds["resources"]) == (3, 2), "of three names two are there"
    assert (eds["pending_seconds"], eds["waiting_for"]) == (2.25, ["b"])


def test_names_are_listed_for_who_asks_for_one_proxy() -> None:
    asked = client(held(EDS, names=frozenset({"b", "a"})))
    assert "names" not in proxy_status(asked, PROXY, None, 0.0)["types"]["EDS"]
    told = proxy_status(asked, PROXY, None, 0.0, with_names=True)["types"]["EDS"]
    assert (told["names"], told["resources"]) == (["a", "b"], 2)


def test_a_stream_whose_proxy_is_not_known_and_a_clock_that_was_set_back() -> None:
    told = proxy_status(client(held(sent_at=0.0, accepted_at=0.0)), None, None, 0.0)
    assert (told["id"], told["type"], told["namespace"], told["envoy_version"]) == (ID, "?", "", "")
    assert told["connected_seconds"] == 0.0
    assert (told["types"]["CDS"]["sent"], told["types"]["CDS"]["acked"]) == (None, None)


def test_what_is_refused_has_its_words_its_lines_and_what_is_served_instead() -> None:
    bad = resource("bad", Origin("a.yaml", 3), Origin("b.yaml", 9))
    refusing = client(
        held(error=" no such cipher\n", error_names=("bad", "other")),
        rejected=(
            RejectedResource(bad, resource("bad"), "no such cipher", xds.Retry(rejections=2)),
            RejectedResource(resource("new"), None, "what", xds.Retry(rejections=1)),
        ),
    )
    assert rejections([refusing], {"group": PROXY}.get) == [
        {
            "proxy": "reviews-v1.shop",
            "type": "CDS",
            "message": "no such cipher",
            "resources": [
                {
                    "name": "bad",
                    "version": bad.version,
                    "origins": ["a.yaml:3", "b.yaml:9"],
                    "in_force": "its last accepted version stays in force; tried again every minute or so, "
                    "rejected 2 times",
                    "refusals": 2,
                },
                {"name": "other", "version": "", "origins": [], "in_force": "", "refusals": 1},
            ],
        },
        {
            "proxy": "reviews-v1.shop",
            "type": "CDS",
            "message": "what",
            "resources": [
                {
                    "name": "new",
                    "version": resource("new").version,
                    "origins": [],
                    "in_force": "it is left out; tried again every minute or so, rejected 1 time",
                    "refusals": 1,
                }
            ],
        },
    ]
    assert "swordfish" not in str(rejections([refusing], {"group": PROXY}.get))


def test_what_is_refused_is_told_with_the_lines_of_now() -> None:
    bad = resource(
        "bad", Origin("a.yaml", 3), Origin("a.yaml", 9), Origin("a.yaml", 10), Origin("gone.yaml", 1)
    )
    now = {
        Origin("a.yaml", 3): Origin("a.yaml", 12),
        Origin("a.yaml", 9): Origin("a.yaml", 12),
        Origin("a.yaml", 10): Origin("a.yaml", 8),
    }
    [told] = rejections(
        [client(held(), rejected=(RejectedResource(bad, None, "what"),))],
        {"group": PROXY}.get,
        current_origin=lambda origin: now.get(origin, origin),
    )
    assert told["resources"][0]["origins"] == ["a.yaml:8", "a.yaml:12", "gone.yaml:1"]


def test_who_does_not_ask_for_a_type_refuses_nothing_of_it() -> None:
    assert rejections([client(held(EDS), rejected=(REFUSED,))], {}.get) == []
    [told] = rejections([client(held(), rejected=(REFUSED,))], {}.get)
    assert told["proxy"] == ID


def test_the_whole_is_sorted_and_has_every_remark() -> None:
    second = client(number=2, connected_at=800.0, peer="ipv4:127.0.0.1:6", rejected=(REFUSED,))
    other = replace(client(number=3, group="other"), node_id="a")
    told = status.whole(
        {"name": "mizzen"},
        {"documents": {}},
        [client(), second, other],
        {}.get,
        {"group": PROXY}.get,
        mesh_warnings=lambda group: [f"in {group}"],
        refused_proxies=[{"reason": "bad id"}],
    )
    assert [(each["id"], each["peer"]) for each in told["proxies"]] == [
        ("a", "ipv4:127.0.0.1:5"),
        ("reviews-v1.shop", "ipv4:127.0.0.1:6"),
        ("reviews-v1.shop", "ipv4:127.0.0.1:5"),
    ], "by name, the oldest stream first"
    assert told["proxies"][0]["warnings"] == ["in other"]
    mesh, twice = told["proxies"][1]["warnings"][-2:]
    assert (mesh, twice[:38]) == ("in group", "2 Envoys are connected under this node")
    assert (told["server"], told["configuration"]) == ({"name": "mizzen"}, {"documents": {}})
    assert (told["refused_proxies"], told["rejections"]) == ([{"reason": "bad id"}], [])


def test_the_secrets_that_are_not_there_are_named() -> None:
    sds = xds.type_urls.SECRET
    asked = client(held(sds, names=frozenset({"b", "a", "there"})))
    snapshot = xds.Snapshot.of([resource("there", type_url=sds), listener_naming("a", "b", "there")])
    assert proxy_status(asked, PROXY, snapshot, 0.0)["types"]["SDS"]["missing"] == ["a", "b"]


def test_secrets_of_a_listener_that_is_drained_are_not_missed() -> None:
    sds = xds.type_urls.SECRET
    asked = client(held(sds, names=frozenset({"typo", "there"})))
    snapshot = xds.Snapshot.of([resource("there", type_url=sds), listener_naming("there", "typo-not")])
    assert proxy_status(asked, PROXY, snapshot, 0.0)["types"]["SDS"]["missing"] == []


def test_a_certificate_in_files_comes_from_where_it_is_named() -> None:
    secret = resource("file-cert:/a~/b", type_url=xds.type_urls.SECRET)
    naming = listener_naming("file-cert:/a~/b", origins=(Origin("gateway.yaml", 7),))
    other = xds.Resource(xds.type_urls.LISTENER, "http", b"z", origins=(Origin("other.yaml", 1),))
    asked = client(held(xds.type_urls.SECRET), rejected=(RejectedResource(secret, None, "no such file"),))
    snapshot = xds.Snapshot.of([secret, naming, other])
    [told] = rejections([asked], {}.get, {"group": snapshot}.get)
    assert told["resources"][0]["origins"] == ["gateway.yaml:7"]
