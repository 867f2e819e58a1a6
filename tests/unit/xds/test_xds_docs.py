"""The picture in the documentation is made from the table in the code, and the public names are all
explained.
"""

from pathlib import Path

from mizzen import xds
from mizzen.xds.ordering import TABLE

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "xds.md").read_text()


def test_the_picture_is_the_table() -> None:
    lines = [
        f"    {phase.value} --> {then.value}: {arrival.value} / {step.value}"
        for (phase, arrival), (step, then) in TABLE.items()
    ]
    drawn = (DOCS / "xds-protocol.md").read_text().partition("[*] --> rest\n")[2].partition("```")[0]
    assert sorted(drawn.splitlines()) == sorted(lines)


def test_public_names_are_what_all_says() -> None:
    assert all(hasattr(xds, name) for name in xds.__all__)
    assert sorted(xds.__all__) == xds.__all__
    for name in ("Resource", "Snapshot", "MakeBeforeBreak", "Unordered", "Limits", "NodeRefused", "Stuck"):
        assert name in PAGE
