"""The reference of the library is that of the code."""

import runpy
from pathlib import Path

from mizzen import xds

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_current_and_whole() -> None:
    page = runpy.run_path(str(DOCS / "xds_reference.py"))
    assert (DOCS / "xds-reference.md").read_text() == page["reference"](), (
        "write it anew: python docs/xds_reference.py > docs/xds-reference.md"
    )
    listed = [name for names in page["SECTIONS"].values() for name in names]
    assert sorted(listed) == sorted(xds.__all__)
    assert all(
        hasattr(getattr(xds, kind), name) for kind, names in page["INTERNAL"].items() for name in names
    )
