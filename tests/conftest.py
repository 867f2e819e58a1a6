"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from collections.abc import Generator
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, and no clock: a change is judged by what it changes, on a machine of any speed.
# `make search` tries others each time.
settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "search", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")

# The tests start processes from one that speaks gRPC. gRPC's handlers of fork() belong to programs that go on
# speaking it in the child; in a child that is about to become another program they can end it instead.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

# httpcore tries to import this many times in each request; each time, Python would look through all folders.
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None

_IN_CI = os.environ.get("CI", "") not in ("", "false", "0")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a search for counterexamples."""
    parser.addoption(
        "--search-seconds",
        type=float,
        default=None,
        help="try properties in random order, and start none after this time",
    )


_END = pytest.StashKey[float]()


def pytest_xdist_auto_num_workers() -> int:
    """Run one worker more than there are cores: tests with real Envoys wait for a third of their time."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Collect no garbage while pytest imports and collects: what that makes stays."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the cycle collector look only at what tests make: a visit to all else takes half a second."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin a search: shuffled, so that its time ends with other properties each time."""
    seconds = config.getoption("--search-seconds")
    if seconds is not None:
        config.stash[_END] = time.monotonic() + seconds
        # The workers of one run must agree on the order.
        random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID")).shuffle(items)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start no property after the end of a search."""
    if time.monotonic() > item.config.stash.get(_END, float("inf")):
        pytest.skip("the time for this search is over")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped in CI, unless it is marked as optional: a green run ran everything."""
    report = yield
    if (
        _IN_CI
        and report.skipped
        and not hasattr(report, "wasxfail")
        and item.get_closest_marker("optional") is None
        and _END not in item.config.stash
    ):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped in CI: {reason}"
    return report
