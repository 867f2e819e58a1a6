"""Control planes of tests, each with a stand-in for the translation."""

from collections.abc import AsyncIterator

import pytest

from mizzen.server.delayed_changes import DelayedChanges
from tests.unit.server.running_plane import Running


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    made = Running()
    yield made
    made.plane.close()


@pytest.fixture
def unheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve changes at once that lead calls nowhere."""
    monkeypatch.setattr(DelayedChanges, "GRACE", 0.0)
