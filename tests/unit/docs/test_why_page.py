"""docs/why.md shows what `mizzen why` really prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mizzen.cli.main import app

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "why.md"
EXAMPLES: list[tuple[str, str]] = re.findall(
    r"^    (mizzen why [^\n]*)\n\n```text\n(.*?)```$",
    PAGE.read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_output_is_real(
    command: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        app()
    assert not ended.value.code
    assert capsys.readouterr().out == shown


def test_page_has_examples() -> None:
    assert len(EXAMPLES) >= 3
