"""Pages that show commands with what they print: each is run, and must print just that."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mizzen.cli.main import command_line

ROOT = Path(__file__).parents[3]
_FILE = re.compile(r"^```yaml\n(# (\S+\.yaml)\n.*?)```$", re.MULTILINE | re.DOTALL)


def examples(page: str) -> list[tuple[str, str]]:
    """The commands of a page with the output that the page shows below."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^    (mizzen [^\n]*)\n\n```text\n(.*?)```$", text, re.MULTILINE | re.DOTALL)


def printed(
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path = ROOT,
) -> tuple[str, int]:
    """What a command prints in a folder, the root of the repository unless given, and its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        command_line()
    return capsys.readouterr().out, int(ended.value.code or 0)


def folder_with_files(folder: Path, *pages: str) -> Path:
    """Write the files that pages show, named by their first line, into a folder beside examples and tests."""
    for name in ("examples", "tests"):
        (folder / name).symlink_to(ROOT / name)
    for page in pages:
        for text, name in _FILE.findall((ROOT / "docs" / page).read_text(encoding="utf-8")):
            (folder / name).write_text(text, encoding="utf-8")
    return folder
