"""docs/troubleshooting.md quotes messages and codes as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "mizzen").rglob("*.py")))
# Texts that are broken into adjacent literals count as one run of words.
JOINED = re.sub(r'"\s*\n\s*f?"', "", SOURCE)

CODES = sorted(set(re.findall(r"\b(?:IST|MZ)\d{4}\b", PAGE)))
FIRST_CELLS = [
    line.split("|")[1]
    for section in PAGE.split("\n## ")
    if not section.startswith("Envoy is connected")
    for line in section.splitlines()
    if line.startswith("| ") and "you see" not in line and "Envoy: " not in line
]
QUOTES = sorted(
    {
        quote
        for cell in FIRST_CELLS
        for quote in re.findall(r"``(.+?)``|`([^`]+)`", cell)
        for quote in quote
        if " " in quote and "{{" not in quote
    }
)


@pytest.mark.parametrize("code", CODES)
def test_quoted_codes_exist(code: str) -> None:
    assert f'"{code}"' in SOURCE


@pytest.mark.parametrize("quote", QUOTES)
def test_quoted_messages_exist(quote: str) -> None:
    # A message is put together of what is wrong, what would be right, and values.
    for part in re.split(r"; |: |\d+|\.yaml, \.yml, \.json|sidecar~\S+", quote):
        assert part.strip() in SOURCE or part.strip() in JOINED, part


def test_there_is_something_to_check() -> None:
    assert len(CODES) > 8
    assert len(QUOTES) > 25
