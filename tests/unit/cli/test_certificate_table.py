"""The part CERTIFICATES of the status."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from mizzen.cli.certificate_table import certificates


def shown(**authority: Any) -> str:
    workloads = [
        {
            "identity": f"spiffe://cluster.local/ns/shop/sa/{name}",
            "until": "2030-01-02T00:00:00+00:00",
            "renews_in_seconds": seconds,
            "of_former_authority": name == "old",
        }
        for name, seconds in (("reviews", 3700.0), ("old", 5.0))
    ]
    state = {"certificates": {"authority": {"warnings": [], **authority}, "workloads": workloads}}
    console = Console(file=StringIO(), width=160)
    with console.capture() as captured:
        console.print(certificates(state))
    return captured.get()


def test_the_next_to_be_renewed_comes_first() -> None:
    lines = [line.split() for line in shown().splitlines() if "spiffe" in line]
    assert lines == [
        ["spiffe://cluster.local/ns/shop/sa/old", "2030-01-02T00:00:00+00:00", "5s"],
        ["spiffe://cluster.local/ns/shop/sa/reviews", "2030-01-02T00:00:00+00:00", "1h01m"],
    ]


def test_a_wave_and_warnings_are_said() -> None:
    text = shown(warnings=["the certificate authority ends soon"])
    assert "1 of 2 are still to be replaced, the last in 5s" in text
    assert "ends soon" in text


def test_nothing_is_said_where_none_are_served() -> None:
    assert certificates({"certificates": None}) is None
    assert certificates({}) is None
