"""How real calls are told: what came of each, and where the simulator says something else."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.mesh_tests import CallEnd, Ending
from mizzen.simulate import Call
from mizzen.testing.envoy_calls import MadeCall
from mizzen.testing.envoy_mesh import call_end, difference
from mizzen.testing.raw_requests import Answer

ENTRY = {
    "kind": "request",
    "cluster": "outbound|80|v1|shop.default.svc.cluster.local",
    "status": 200,
    "details": None,
    "termination": None,
    "handshake": None,
    "location": None,
    "upstream": "127.0.0.1:1",
}
SEEN = {"authority": "shop", "target": "/a?b=c", "headers": {"x": "y"}}


def made(seen: dict[str, Any] | None = None, **entry: object) -> MadeCall:
    return MadeCall(1, Call(80), Answer(), {**ENTRY, **entry}, seen)


def end(call: MadeCall) -> CallEnd:
    return call_end(call, str(call.entry["cluster"]), 0.5)


def test_a_request_that_came_out_arrives_as_it_came_out() -> None:
    assert end(made(SEEN)) == CallEnd(
        Ending.ARRIVES,
        0.5,
        "shop.default.svc.cluster.local",
        "v1",
        80,
        authority="shop",
        path="/a?b=c",
        headers=(("x", "y"),),
    )


@pytest.mark.parametrize(
    ("entry", "ending", "status", "said"),
    [
        ({"status": 404, "details": "no_route"}, "answered", 404, "a proxy answers 404 (no_route)"),
        ({"status": 403, "details": "rbac_access_denied_x"}, "denied", 403, "a proxy answers 403"),
        ({"status": 401, "details": "jwt_authn_access_denied{x}"}, "denied", 401, "a proxy answers 401"),
        ({"status": 403, "details": "direct_response"}, "answered", 403, "a proxy answers 403 (direct"),
        ({"status": 0, "kind": "connection", "upstream": None}, "closed", None, "the connection is closed"),
        (
            {"status": 0, "kind": "connection", "termination": "rbac_access_denied_matched_policy[none]"},
            "denied",
            None,
            "the connection is closed (rbac_access_denied",
        ),
        (
            {
                "status": 0,
                "kind": "connection",
                "upstream": None,
                "handshake": "TLS_error:|PEER_DID_NOT_RETURN_A_CERTIFICATE",
            },
            "denied",
            None,
            "the connection is closed (TLS_error",
        ),
    ],
)  # fmt: skip
def test_a_call_that_did_not_come_out_says_why(
    entry: dict[str, Any], ending: str, status: int | None, said: str
) -> None:
    found = end(made(None, **entry))
    assert (found.ending, found.status) == (ending, status)
    assert found.said.startswith(said)


def test_a_connection_without_http_arrives_once_its_upstream_is_connected() -> None:
    assert end(made(None, kind="connection")).ending is Ending.ARRIVES


V1 = CallEnd(Ending.ARRIVES, 0.9, "shop", "v1", 80)
V2 = CallEnd(Ending.ARRIVES, 0.1, "shop", "v2", 80)


def test_shares_that_were_counted_may_be_a_little_off() -> None:
    counted = [
        CallEnd(Ending.ARRIVES, 0.13, "shop", "v2", 80),
        CallEnd(Ending.ARRIVES, 0.87, "shop", "v1", 80),
    ]
    assert difference([V1, V2], counted) == ""


def test_a_difference_says_both_sides() -> None:
    answered = CallEnd(Ending.ANSWERED, status=404, said="a proxy answers 404 (route_not_found)")
    assert difference([V1, V2], [answered]) == (
        "the simulator says that 90 %: it goes to shop:80, subset v1 and 10 %: it goes to shop:80, "
        "subset v2; with Envoy a proxy answers 404 (route_not_found)"
    )
    moved = CallEnd(Ending.ARRIVES, host="shop", path="/other")
    assert difference([CallEnd(Ending.ARRIVES, host="shop", path="/")], [moved])


def test_what_is_not_simulated_is_no_difference() -> None:
    assert difference([CallEnd(Ending.UNKNOWN)], [V1]) == ""
