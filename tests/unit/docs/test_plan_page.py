"""docs/plan.md shows what `mizzen plan` really prints."""

from __future__ import annotations

import pytest

from tests.unit.docs.shown_commands import examples, printed

EXAMPLES = examples("plan.md")


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_output_is_real(
    command: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(command, monkeypatch, capsys) == (shown, 2)  # something breaks


def test_page_has_examples() -> None:
    assert EXAMPLES
