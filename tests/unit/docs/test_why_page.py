"""docs/why.md shows what `mizzen why` really prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.docs.shown_commands import examples, folder_with_files, printed

EXAMPLES = examples("why.md")


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_output_is_real(
    command: str,
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = folder_with_files(tmp_path, "why.md")
    assert printed(command, monkeypatch, capsys, folder) == (shown, 0)


def test_page_has_examples() -> None:
    assert len(EXAMPLES) >= 3
