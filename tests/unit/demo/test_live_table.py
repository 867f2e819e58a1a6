"""The live table: shares of the last seconds, and what the control plane says of the proxies."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest
from rich.console import Console, RenderableType

from mizzen.demo.live_table import picture, shop_table
from mizzen.demo.loopback import LoopbackNetwork
from mizzen.demo.observation import Observation, Window
from mizzen.demo.proxy_status import parse_status
from mizzen.demo.topology import Topology
from mizzen.demo.traffic import Visitors

TOPOLOGY = Topology(LoopbackNetwork("127.83.12"), gateway_port=8080)

STATUS = {
    "proxies": [
        {"id": "reviews-v1.default", "types": {"CDS": {"state": "ACKED"}, "LDS": {"state": "REJECTED"}}},
        {"id": "details-v1.default", "types": {"CDS": {"state": "PENDING"}}},
    ],
    "rejections": [
        {
            "proxy": "reviews-v1.default",
            "type": "LDS",
            "message": "listener(s) 0.0.0.0_9080: bad",
            "resources": [{"name": "0.0.0.0_9080", "origins": ["shop.yaml:7"]}],
        }
    ],
    "configuration": {
        "diagnostics": [
            {"severity": "error", "file": "a.yaml", "line": 3, "path": "spec.http[0]", "message": "no route"},
            {"severity": "warning", "file": "a.yaml", "line": 9, "path": "", "message": "unused"},
        ]
    },
}


def _text(renderable: RenderableType) -> list[str]:
    console = Console(width=80, file=io.StringIO())
    with console.capture() as captured:
        console.print(renderable)
    return captured.get().splitlines()


def test_shares_are_those_of_the_last_seconds() -> None:
    window = Window()
    # Long ago all went to v1; since then, half to v2 and half to v3.
    window.add(Observation(0.0, {"reviews-v1": 0, "reviews-v2": 0, "reviews-v3": 0}))
    for second in range(1, 6):
        later = max(second - 2, 0)
        counts = {"reviews-v1": 100, "reviews-v2": 10 * later, "reviews-v3": 10 * later}
        window.add(Observation(float(second), counts))
    assert window.total("reviews-v1") == 100
    assert window.rate("reviews-v1") == 0.0
    assert window.rate("reviews-v2") == pytest.approx(10.0)
    rows = [line.split() for line in _text(shop_table(TOPOLOGY, window, None))]
    shares = {row[1]: next(cell for cell in row if "%" in cell) for row in rows if row[0] == "reviews"}
    assert shares == {"v1": "0%", "v2": "50%", "v3": "50%"}


def test_a_program_that_does_not_answer_has_no_count() -> None:
    window = Window()
    window.add(Observation(0.0, {"ratings-v1": 5}))
    window.add(Observation(1.0, {}))
    assert window.total("ratings-v1") is None
    assert window.rate("ratings-v1") == 0.0


def test_the_table_shows_what_each_proxy_accepted() -> None:
    rows = [line.split() for line in _text(shop_table(TOPOLOGY, Window(), parse_status(STATUS)))]
    assert next(row for row in rows if row[:2] == ["reviews", "v1"])[-4:] == ["ACKED", "-", "REJECTED", "-"]
    assert next(row for row in rows if row[0] == "details")[-4:] == ["PENDING", "-", "-", "-"]
    assert next(row for row in rows if row[0] == "quotes")[-7:] == [
        "outside",
        "the",
        "mesh",
        "-",
        "-",
        "-",
        "-",
    ]


def test_the_picture_tells_where_the_shop_is_and_what_is_wrong() -> None:
    visitors = Visitors(httpx.AsyncClient(), "http://shop/", rate=1.0)
    lines = _text(picture(TOPOLOGY, Path("/shop"), Window(), visitors, parse_status(STATUS)))
    assert "The shop http://127.0.0.1:8080/productpage" in lines
    assert f"Look at  http://{TOPOLOGY.control_plane_admin}/" in lines
    assert "a.yaml:3: spec.http[0]: no route" in lines
    assert len(lines) <= 24  # it fits the smallest terminal
    lines = _text(picture(TOPOLOGY, Path("/shop"), Window(), visitors, None))
    assert "the control plane does not answer" in lines


def test_errors_are_told_with_their_place_and_warnings_are_not() -> None:
    assert parse_status(STATUS).problems == (
        "a.yaml:3: spec.http[0]: no route",
        "reviews-v1.default rejected LDS: listener(s) 0.0.0.0_9080: bad (from shop.yaml:7)",
    )


async def test_visitors_count_pages_that_lack_a_part() -> None:
    missing = iter(["", "details, stars", "details"])

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"x-shop-missing": next(missing)})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        visitors = Visitors(client, "http://shop/", rate=1000.0)
        for _ in range(3):
            await visitors.visit()
    assert visitors.counts() == (3, 0, 2)
    lines = _text(picture(TOPOLOGY, Path("/shop"), Window(), visitors, parse_status(STATUS)))
    assert "2 answered 200 with a part missing: details 2, stars 1" in lines


async def test_visitors_count_pages_and_failures() -> None:
    answers = iter([200, 503, 200])
    asked = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        status = next(answers, None)
        if status is None:
            raise httpx.ConnectError("gone")
        return httpx.Response(status)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        visitors = Visitors(client, "http://shop/", rate=1000.0)
        for _ in range(4):
            await visitors.visit()
    assert asked == 4
    assert (visitors.pages, visitors.failures) == (4, 2)
