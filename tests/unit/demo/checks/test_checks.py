"""The checks themselves: each passes on right answers and fails on wrong ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mizzen.demo.checks import Check, CheckResult, perform, report, resilience, routing
from mizzen.demo.checks.boundaries import judge_live_changes, no_route
from mizzen.demo.checks.outcome import Door

Answer = Callable[[httpx.Request], httpx.Response]


def _door(answer: Answer) -> Door:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return Door("ingress", "http://127.0.0.1:8080", "tour.example.com", client)


def _echo(request: httpx.Request, **said: Any) -> httpx.Response:
    content = {"workload": "details", "version": "v1", "path": request.url.path, **said}
    return httpx.Response(200, json=content, headers={"x-shop-version": "v1"})


def _splitting(weights: dict[str, int]) -> Answer:
    dice = random.Random(7)

    def answer(request: httpx.Request) -> httpx.Response:
        (version,) = dice.choices(list(weights), list(weights.values()))
        return _echo(request, version=version)

    return answer


async def test_a_right_split_passes_and_a_wrong_one_fails() -> None:
    assert (await routing.weighted_split(_door(_splitting({"v1": 60, "v2": 30, "v3": 10})))).passed
    assert not (await routing.weighted_split(_door(_splitting({"v1": 34, "v2": 33, "v3": 33})))).passed
    assert not (await routing.weighted_split(_door(_splitting({"v1": 1})))).passed


async def test_one_failure_spoils_a_split() -> None:
    split = _splitting({"v1": 60, "v2": 30, "v3": 10})
    seen = Counter[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen["requests"] += 1
        return httpx.Response(503) if seen["requests"] == 100 else split(request)

    result = await routing.weighted_split(_door(answer))
    assert not result.passed
    assert "503 1" in result.seen


async def test_a_header_must_pin_every_request() -> None:
    def pinned(request: httpx.Request) -> httpx.Response:
        return _echo(request, version="v2" if request.headers.get("end-user") == "jason" else "v1")

    assert (await routing.header_match(_door(pinned))).passed
    assert not (await routing.header_match(_door(_splitting({"v1": 10, "v2": 90})))).passed


async def test_every_header_operation_is_looked_at() -> None:
    def answer(arrived: dict[str, str]) -> Answer:
        changed = {"x-tour-response": "set-by-the-mesh", "x-tour-added": "one-more"}
        return lambda request: httpx.Response(200, json={"headers": arrived}, headers=changed)

    right = answer({"x-tour-request": "set-by-the-mesh"})
    assert (await routing.headers(_door(right))).passed
    secret_kept = answer({"x-tour-request": "set-by-the-mesh", "x-tour-secret": "1"})
    result = await routing.headers(_door(secret_kept))
    assert not result.passed
    assert result.seen == "not: request header removed"


@pytest.mark.parametrize(
    ("check", "right"),
    [
        (routing.redirect, httpx.Response(302, headers={"location": "http://elsewhere.example.com/here"})),
        (routing.direct_response, httpx.Response(418, text="short and stout")),
        (resilience.fault_abort, httpx.Response(451, text="fault filter abort")),
        (no_route, httpx.Response(404)),
    ],
)
async def test_what_the_proxy_says_itself(check: Callable[[Door], Any], right: httpx.Response) -> None:
    assert (await check(_door(lambda request: right))).passed
    assert not (await check(_door(_echo))).passed


async def test_a_404_of_a_program_is_not_the_proxys() -> None:
    result = await no_route(_door(lambda request: httpx.Response(404, headers={"x-shop-version": "v1"})))
    assert not result.passed


async def test_a_delay_that_did_not_happen_is_seen() -> None:
    assert not (await resilience.fault_delay(_door(_echo))).passed


async def test_a_check_that_cannot_be_made_has_failed() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    async def run() -> CheckResult:
        return await routing.redirect(_door(refuse))

    outcomes = [outcome async for outcome in perform([Check("redirect", "ingress", run)])]
    assert [outcome.result.passed for outcome in outcomes] == [False]
    assert outcomes[0].result.seen == "ConnectError: refused"
    assert report(outcomes).row_count == 1


def test_durations_may_be_late_but_hardly_early() -> None:
    assert resilience.took(0.6, 0.6)
    assert resilience.took(9.9, 0.6)
    assert not resilience.took(0.5, 0.6)
    assert not resilience.took(10.1, 0.6)


def test_the_bounds_of_a_split_are_a_few_standard_deviations() -> None:
    assert routing.tolerance(0.5, 400) == pytest.approx(60.0)
    assert routing.tolerance(0.1, 400) == pytest.approx(36.0)


def test_changes_are_served_soon_as_a_rule() -> None:
    assert judge_live_changes([0.1, 0.2, 0.1, 4.0, 0.9]).passed
    assert judge_live_changes([0.1, 0.2, 0.1, 4.0, 0.9]).seen == (
        "5 served, usually after 0.20 s, at most 4.00 s"
    )
    assert not judge_live_changes([0.1, 5.2, 5.1, 5.3, 0.9]).passed
    assert not judge_live_changes([0.1, None, 0.1, 0.1, 0.1]).passed
