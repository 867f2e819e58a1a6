"""No request is lost while the configuration changes all the time; without the order some are."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.xds_envoy import Variant
from benchmarks.xds_load import Outcome, measure
from mizzen import xds
from mizzen.testing.ports import free_ports

pytestmark = pytest.mark.envoy


def enough(outcome: Outcome) -> bool:
    """Every kind of change has happened, under many requests."""
    return outcome.requests > 1000 and len(outcome.kinds) == 8


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_no_request_is_lost(envoy: Path | None, delta: bool) -> None:
    outcome = await measure(
        Variant(delta),
        policy=xds.MakeBeforeBreak(),
        seconds=5,
        rate=300,
        interval=0.07,
        binary=envoy,
        enough=enough,
        ports=free_ports(2),
    )
    assert not outcome.failures, str(outcome)
    assert outcome.settled, str(outcome)
    assert not outcome.refused


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_without_the_order_requests_are_lost(delta: bool) -> None:
    outcome = await measure(
        Variant(delta),
        policy=xds.Unordered(),
        seconds=120,
        rate=300,
        interval=0.07,
        until_failure=True,
        ports=free_ports(2),
    )
    assert outcome.failures, "the proof proves nothing: without the order nothing breaks either"
