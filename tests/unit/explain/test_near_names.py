"""What is said in place of a name that does not exist."""

from __future__ import annotations

import pytest

from mizzen.explain.near_names import there_are


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "there are none"),
        (["public.shop"], "there is public.shop"),
        (["b", "a"], "there are a, b"),
        ("gfedcba", "there are a, b, c, d, e and 2 more"),
    ],
)
def test_names_that_exist_are_listed(names: list[str], said: str) -> None:
    assert there_are(names) == said
