"""No request is lost while the configuration changes all the time; without the order some are."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.xds_envoy import Variant
from benchmarks.xds_load import measure
from mizzen import xds

pytestmark = pytest.mark.envoy


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_no_request_is_lost(envoy: Path | None, delta: bool) -> None:
    outcome = await measure(Variant(delta), seconds=8, rate=300, interval=0.07, binary=envoy)
    assert not outcome.failures, str(outcome)
    assert outcome.settled, str(outcome)
    assert not outcome.refused
    assert len(outcome.kinds) == 8, f"some kind of change never happened: {outcome.kinds}"
    assert outcome.requests > 1000, "this machine was too slow for the test to mean anything"


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_without_the_order_requests_are_lost(delta: bool) -> None:
    outcome = await measure(
        Variant(delta), policy=xds.Unordered(), seconds=30, rate=300, interval=0.07, until_failure=True
    )
    assert outcome.failures, "the proof proves nothing: without the order nothing breaks either"
