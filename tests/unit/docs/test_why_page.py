"""docs/why.md shows what `mizzen why` really prints."""

from __future__ import annotations

import pytest

from tests.unit.docs.shown_commands import examples, printed

EXAMPLES = examples("why.md")


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_output_is_real(
    command: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(command, monkeypatch, capsys) == (shown, 0)


def test_page_has_examples() -> None:
    assert len(EXAMPLES) >= 3
