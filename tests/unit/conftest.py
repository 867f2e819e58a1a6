"""What holds for all unit tests."""

from __future__ import annotations

import pytest

from mizzen.incremental import Database


@pytest.fixture(autouse=True)
def checking(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let each `Database` compute what it remembers again when it is read: a read that was not recorded fails
    the test. Not where the test counts calls, or looks at what stays in memory (marked `counting`)."""
    if request.node.get_closest_marker("counting") is None:
        init = Database.__init__
        monkeypatch.setattr(Database, "__init__", lambda self, *, checking=True: init(self, checking=True))
