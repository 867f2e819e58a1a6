"""docs/mesh-tests.md shows what `mizzen test` really prints of the files that it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.docs.shown_commands import examples, printed

ROOT = Path(__file__).parents[3]
EXAMPLES = examples("mesh-tests.md")
PAGE = (ROOT / "docs" / "mesh-tests.md").read_text(encoding="utf-8")
FILE = re.compile(r"^```yaml\n(# (\S+\.yaml)\n.*?)```$", re.MULTILINE | re.DOTALL)


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
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for text, name in FILE.findall(PAGE):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert printed(command, monkeypatch, capsys, tmp_path) == (shown, 1 if "\nFAIL " in shown else 0)


def test_page_has_examples() -> None:
    assert len(EXAMPLES) >= 2
