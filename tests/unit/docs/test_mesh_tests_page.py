"""docs/mesh-tests.md shows what `mizzen test` really prints of the files that it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.docs.shown_commands import examples, folder_with_files, printed

EXAMPLES = examples("mesh-tests.md")


@pytest.mark.parametrize(
    ("command", "shown"),
    [pytest.param(*each, marks=pytest.mark.envoy if "--envoy" in each[0] else ()) for each in EXAMPLES],
)
def test_output_is_real(
    command: str,
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = folder_with_files(tmp_path, "mesh-tests.md", "why.md")
    assert printed(command, monkeypatch, capsys, folder) == (shown, 1 if "\nFAIL " in shown else 0)


def test_page_has_examples() -> None:
    assert len(EXAMPLES) >= 2
