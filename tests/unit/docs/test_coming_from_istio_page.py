"""docs/coming-from-istio.md shows what a command really prints, and names commands that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mizzen.cli.main import commands
from mizzen.config.kinds import KINDS
from tests.unit.docs.shown_commands import ROOT, examples, folder_with_files, printed

PAGE = "coming-from-istio.md"
EXAMPLES = examples(PAGE)


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_output_is_real(
    command: str,
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = folder_with_files(tmp_path, PAGE)
    assert printed(command, monkeypatch, capsys, folder) == (shown, 1)


def test_page_has_an_example() -> None:
    assert EXAMPLES


def test_commands_beside_istioctls_are_there() -> None:
    text = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    named = set(re.findall(r"\| `mizzen ([a-z]+)` \|", text))
    known = {each.name or each.callback.__name__ for each in commands.registered_commands if each.callback}
    assert named <= known
    assert named >= {
        "why",
        "describe",
        "plan",
        "diff",
        "routes",
        "clusters",
        "listeners",
        "endpoints",
        "secrets",
    }


def test_every_kind_that_is_read_is_exported() -> None:
    text = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    lines = re.findall(r"kubectl get (?:-A|-n istio-system) -o yaml (\S+)", text)
    exported = {each.partition(".")[0].rstrip("s") for line in lines for each in line.split(",")}
    read = {each.name.lower().removesuffix("y").rstrip("s") for each in KINDS.values()}
    missing = {each for each in read if not any(one in (each, f"{each}ie", f"{each}y") for one in exported)}
    # EndpointSlices are made of Endpoints, too.
    assert missing == {"endpoint"}
