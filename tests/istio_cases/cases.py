"""Where Istio's own cases lie: data outside the repository, and what is there of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_FOLDER = Path(os.environ.get("MIZZEN_ISTIO_CASES") or _ROOT.parent / "shared" / "cases")


def cases_of(table: str) -> list[Path]:
    """Return the files of the cases of a table (`simulation`, `validation`); none where they are absent."""
    return sorted((_FOLDER / table).glob("*.json"))


def read_case(path: Path) -> dict[str, Any]:
    """Return a case as it is written."""
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return case
