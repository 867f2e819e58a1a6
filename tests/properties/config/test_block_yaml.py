"""Documents that are read line by line mean what they mean to libyaml: values, lines of fields, findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.config import yaml_tree
from mizzen.config.block_yaml import block_yaml
from mizzen.config.yaml_tree import YamlError, trees

KEYS = st.sampled_from(["a", "b", "hosts", "app.kubernetes.io/name", "x-y", "_z", "e1"])
SCALARS = st.sampled_from([
    "abc", "1", "0x1f", "089", "1_000", "y", "No", "null", "1e3", "1:30", "2001:db8::1", "2026-01-31",
    "a:b", "a  b", "a#c", "a]", "a, b", "a'b", "/x", "http://a/b", "''", '"a: #b"', "'a\"b'", "[]", "{}",
])  # fmt: skip
COMMENTS = st.sampled_from(["", "", "", " ", "  # c", " #"])
BETWEEN = st.sampled_from(["", "", "", "", "\n", "# a: b\n", "    # c\n"])

ODD_KEYS = st.sampled_from(
    ["y", "true", "null", "<<", "1", "a b", "'q'", '"q"', "~", "-a", "a:b", "?", "k" * 101]
)
ODD_SCALARS = st.sampled_from([
    "", "~", "-", "- a", "-1", ".5", ".inf", "*", "*a", "&a b", "!x", "!!str 1", "?", "? a", "a:", "a: b",
    ": a", "|", ">-", "<<", "[a]", "{a: 1}", "{}a", "[] ]", "@x", "%", "`", "'a''b'", '"a\\n"', "'a", '"a"b',
    "'a' b", "a\tb", "é", "a\x7f",
])  # fmt: skip


def in_block_style(draw: st.DrawFn, indent: int, depth: int) -> Iterator[str]:
    """Draw the lines of a mapping that begins at a column, or of a sequence."""
    for key in draw(st.lists(KEYS, min_size=1, max_size=3, unique=True)):
        yield from draw(BETWEEN).split("\n")[:-1]
        shape = (
            draw(st.sampled_from(["scalar", "scalar", "null", "mapping", "sequence"])) if depth else "scalar"
        )
        comment = draw(COMMENTS)
        if shape == "scalar":
            yield f"{' ' * indent}{key}: {draw(SCALARS)}{comment}"
            continue
        yield f"{' ' * indent}{key}:{comment}"
        if shape == "mapping":
            yield from in_block_style(draw, indent + draw(st.integers(1, 4)), depth - 1)
        elif shape == "sequence":
            yield from items(draw, indent + draw(st.integers(0, 2)), depth - 1)


def items(draw: st.DrawFn, indent: int, depth: int) -> Iterator[str]:
    for _ in range(draw(st.integers(1, 3))):
        mark = "-" + " " * draw(st.integers(1, 3))
        if draw(st.booleans()):
            yield f"{' ' * indent}{mark}{draw(SCALARS)}{draw(COMMENTS)}"
            continue
        within = indent + len(mark)
        inside = [
            line for line in in_block_style(draw, within, depth) if line.strip() and line.lstrip()[0] != "#"
        ]
        yield f"{' ' * indent}{mark}{inside[0][within:]}"
        yield from inside[1:]


@st.composite
def documents(draw: st.DrawFn) -> str:
    marker = draw(st.sampled_from(["", "---\n", "---  # c\n"]))
    return marker + "\n".join(in_block_style(draw, 0, 3)) + draw(st.sampled_from(["\n", "", "\n\n"]))


@st.composite
def any_lines(draw: st.DrawFn) -> str:
    """Draw a document with a few lines that are indented, written or placed otherwise."""
    lines = draw(documents()).split("\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        indent = " " * draw(st.integers(0, 6))
        mark = draw(st.sampled_from(["", "", "- ", "-", "- - ", "? "]))
        key = draw(st.sampled_from(["", "a: ", "b:", "c :"]) | ODD_KEYS.map(lambda key: f"{key}: "))
        line = f"{indent}{mark}{key}{draw(SCALARS | ODD_SCALARS)}{draw(COMMENTS | st.just('#c'))}"
        lines[at : at + draw(st.integers(0, 1))] = (
            [line] if draw(st.booleans()) else [indent + lines[at].lstrip()]
        )
    return "\n".join(lines)


def by_libyaml(text: str, first_line: int) -> Any:
    with patch.object(yaml_tree, "block_yaml", lambda *_: None):
        return read(text, first_line)


def read(text: str, first_line: int) -> Any:
    try:
        # As text, which tells 1 from True and has the order of keys.
        return [(repr(each.value), each.lines.as_lists(), each.problems) for each in trees(text, first_line)]
    except YamlError as error:
        return error.line, error.message


@given(documents(), st.sampled_from([1, 7]))
@settings(max_examples=100)
def test_documents_in_block_style_are_read_alike(text: str, first_line: int) -> None:
    assert block_yaml(text, first_line) is not None
    assert read(text, first_line) == by_libyaml(text, first_line)


@given(any_lines())
@settings(max_examples=300)
def test_whatever_else_lines_say_is_read_alike(text: str) -> None:
    assert read(text, 1) == by_libyaml(text, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "---\n",
        "a\n",
        "- a: 1\n",
        " a: 1\n",
        "a: 1\na: 2\n",
        "y: 1\n",
        "a: 1\n b: 2\n",
        "a:\n  b: 1\n c: 2\n",
        "a: b\n  c\n",
        "a: b\n  - c\n",
        "a: b: c\n",
        "a: 'b'c\n",
        "a: |\n  b\n",
        "a: &x b\nc: *x\n",
        "a: !!str 1\n",
        "a: [b]\n",
        "a: .inf\n",
        "a:\tb\n",
        "a: b\r\n",
        "a: é\n",
        "a: b\x01\n",
        "a: 1\n---\nb: 1\n",
        "a: 1\n...\n",
        "".join(f"{' ' * depth}a:\n" for depth in range(200)),
    ],
)
def test_anything_else_is_left_to_libyaml(text: str) -> None:
    assert block_yaml(text, 1) is None


@pytest.mark.parametrize(
    "text", ["{} *", "a:{} *", "- {} *", "a: b{} #\x01", 'a: "{}', "a: {}\x01", "---{} a"]
)
@pytest.mark.parametrize("many", [" ", "a", "a ", "a:", "a#", "-", "- "])
def test_no_line_takes_long(text: str, many: str) -> None:
    for _ in range(20):
        assert block_yaml(text.format(many * (90_000 // len(many))), 1) is None
