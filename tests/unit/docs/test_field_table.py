"""docs/fields.md says what the models and the table of unserved fields say."""

from __future__ import annotations

import runpy
from pathlib import Path

from mizzen.config.models import SPECS
from mizzen.config.models.fields import leaf_fields

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "fields.md"
TABLE = runpy.run_path(str(DOCS / "field_table.py"))


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == TABLE["field_table"](), (
        "write it anew: python docs/field_table.py > docs/fields.md"
    )


def test_what_is_said_to_be_the_same_is() -> None:
    for kind, paths in TABLE["SAME_AS"].items():
        for path, other in paths.items():
            repeated, first = (
                {
                    (leaf.path.removeprefix(prefix), leaf.type, leaf.deprecated)
                    for leaf in leaf_fields(SPECS[kind])
                    if leaf.path.startswith(prefix + ".")
                }
                for prefix in (path, other)
            )
            assert repeated
            assert repeated == first


def test_remarks() -> None:
    rows = {
        line.split("`")[1]: line for line in TABLE["field_table"]().splitlines() if line.startswith("| `")
    }

    assert "takes no effect: Istio ignores it too" in rows["spec.tcp[].match[].sourceSubnet"]
    assert rows["spec.probe.httpGet.httpHeaders[].name"].count("takes no effect") == 1
    assert "deprecated: write mirrorPercentage" in rows["spec.http[].mirrorPercent"]
    assert rows["spec.http[].timeout"] == "| `spec.http[].timeout` | Duration |  |"
    assert rows["spec.resolution"].startswith("| `spec.resolution` | `NONE`, `STATIC`, `DNS`")
    assert (
        rows["spec.subsets[].trafficPolicy"]
        == "| `spec.subsets[].trafficPolicy` |  | as `spec.trafficPolicy` |"
    )
