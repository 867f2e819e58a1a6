"""The models have the fields of Istio's API: all of them, with their types, and no others.

tests/data/istio_fields.tsv lists the leaf fields of the API: kind, path, type, whether deprecated.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.config.document import GroupKind
from mizzen.config.models import SPECS
from mizzen.config.models.fields import leaf_fields

FACTS = Path(__file__).parents[3] / "data" / "istio_fields.tsv"


def facts(kind: str) -> dict[str, tuple[str, bool]]:
    rows = (line.split("\t") for line in FACTS.read_text().splitlines())
    return {row[1]: (row[2], row[3:] == ["deprecated"]) for row in rows if row[0] == kind}


@pytest.mark.parametrize("kind", SPECS)
def test_the_leaves_are_those_of_the_api(kind: GroupKind) -> None:
    leaves = {leaf.path: (leaf.type, bool(leaf.deprecated)) for leaf in leaf_fields(SPECS[kind])}

    assert leaves == facts(kind.kind)


def test_every_kind_of_the_facts_has_a_model() -> None:
    assert {line.split("\t")[0] for line in FACTS.read_text().splitlines()} == {of.kind for of in SPECS}


@pytest.mark.parametrize("kind", SPECS)
def test_the_attributes_lead_to_the_leaf(kind: GroupKind) -> None:
    for leaf in leaf_fields(SPECS[kind]):
        names = [step.removesuffix("[]") for step in leaf.path.split(".")[1:]]
        assert len(leaf.attributes) == len(names)
        assert leaf.attributes[-1].replace("_", "") == names[-1].lower()
