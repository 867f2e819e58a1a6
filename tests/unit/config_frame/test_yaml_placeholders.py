"""Placeholders of templates that nobody filled in."""

from __future__ import annotations

import pytest

from mizzen.config.yaml_tree import YamlError, trees


@pytest.mark.parametrize(
    "text", ["a:\n  host: {{ .Values.x }}\n", "a:\n- {{ .Values.x }}\n", "a: 1\nb: {{x}}\n"]
)
def test_a_placeholder_is_named_as_that(text: str) -> None:
    with pytest.raises(YamlError, match="placeholder") as caught:
        list(trees(text))

    assert caught.value.line == 2


def test_another_mapping_as_a_key_is_no_placeholder() -> None:
    with pytest.raises(YamlError, match="a key must be a string"):
        list(trees("a: { {b: c}: d}\n"))
