"""Unit tests lie as the package does: a module's test is found by the module's folder."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parents[1] / "mizzen"


def test_every_folder_of_tests_is_one_of_the_package() -> None:
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")} - {Path("docs")}
    assert [str(each) for each in sorted(folders) if not (PACKAGE / each / "__init__.py").exists()] == []
