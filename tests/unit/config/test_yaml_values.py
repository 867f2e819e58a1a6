"""Values are those that Kubernetes' YAML reads, and lines are those that the user sees."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.composed_yaml import MAX_ALIASED_NODES, MAX_DEPTH, trees
from mizzen.config.yaml_tree import Tree, YamlError


def one(text: str) -> Tree:
    [tree] = trees(text)
    return tree


def fails(text: str) -> YamlError:
    with pytest.raises(YamlError) as caught:
        list(trees(text))
    return caught.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", True),
        ("y", True),
        ("Off", False),
        ("n", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("'yes'", "yes"),
        ("yess", "yess"),
        ("80", 80),
        ("+5", 5),
        ("-7", -7),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b11", 3),
        ("010", 8),
        ("0o10", 8),
        ("089", 89.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1:30", "1:30"),
        ("2026-01-31", "2026-01-31"),
        ("1.2.3", "1.2.3"),
        ("10.0.0.1", "10.0.0.1"),
        ("5s", "5s"),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2.0**64),
        ("1e999", "1e999"),
        ("!!str 80", "80"),
        ("!!int '80'", 80),
        ("!!float 1", 1.0),
        ("!!binary aGVsbG8=", "hello"),
        ("! 80", "80"),
        ("|\n  a\n  b", "a\nb\n"),
    ],
)
def test_scalars_are_read_as_kubernetes_reads_them(written: str, value: object) -> None:
    found = one(f"a: {written}\n").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_a_number_of_absurd_length_is_a_float_and_no_crash() -> None:
    assert isinstance(one("a: " + "9" * 300 + "\n").value["a"], float)
    assert one("a: " + "9" * 5000 + "\n").value["a"] == "9" * 5000


def test_keys_become_json_keys_and_surprises_are_remarked() -> None:
    tree = one("on: 1\n8080: 2\n'off': 3\ntrue: 4\n")
    assert tree.value == {"true": 4, "8080": 2, "off": 3}
    assert [(problem.line, problem.fatal) for problem in tree.problems] == [(1, False), (4, True)]
    assert 'quote it: "on"' in tree.problems[0].message


def test_repeated_keys_name_both_lines() -> None:
    [problem] = one("a:\n  b: 1\n  c: 2\n  b: 3\n").problems
    assert (problem.path, problem.line, problem.fatal) == (("a", "b"), 4, True)
    assert "first on line 2" in problem.message


def test_repeated_key_inside_a_list_has_its_index() -> None:
    [problem] = one("a:\n- x: 1\n- x: 1\n  x: 2\n").problems
    assert problem.path == ("a", 1, "x")


def test_aliases_and_merges() -> None:
    tree = one("base: &b {x: 1, w: 2}\nown: {<<: *b, w: 3}\nboth: {<<: [*b, {z: 4, x: 9}]}\nsame: *b\n")
    assert tree.value["own"] == {"x": 1, "w": 3}
    assert tree.value["both"] == {"x": 1, "w": 2, "z": 4}
    assert tree.value["same"] == {"x": 1, "w": 2}
    assert tree.lines.line_of(("same", "x")) == 4
    assert tree.lines.line_of(("own", "x")) == 2


def test_lines_of_fields_items_and_nearest_ancestors() -> None:
    tree = one("\n# c\na:\n  b:\n  - 1\n  -\n    c: x\n  d: {e: 1,\n      f: 2}\n")
    lines = tree.lines
    expected = {
        (): 3,
        ("a",): 3,
        ("a", "b"): 4,
        ("a", "b", 0): 5,
        ("a", "b", 1): 7,
        ("a", "b", 1, "c"): 7,
        ("a", "b", 9): 4,
        ("a", "b", "x"): 4,
        ("a", "d", "f"): 9,
        ("a", "d", "f", "g", 0): 9,
        ("z",): 3,
    }
    assert {path: lines.line_of(path) for path in expected} == expected
    inner = lines.subtree(("a", "d"))
    assert (inner.line_of(()), inner.line_of(("f",))) == (8, 9)


def test_first_line_shifts_everything() -> None:
    [tree] = trees("a: 1\nb: 2\n", 11)
    assert tree.lines.line_of(("b",)) == 12
    with pytest.raises(YamlError) as caught:
        list(trees("a: 1\nb: [\n", 11))
    assert caught.value.line >= 12


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a:\n\tb: 1\n", 2, "a tab indents"),
        ("a: b: c\n", 1, "quote a value that holds"),
        ("hosts:\n- *.com\n", 2, "quote a value that begins with *"),
        ("a: *x\n", 1, "names no finished anchor above it"),
        ("a: &a [*a]\n", 1, "names no finished anchor above it"),
        ("a: {{ x }}\n", 1, "template"),
        ("a: @x\n", 1, "quote a value that begins with @"),
        ("a: 1\nb: 'x\n", 3, "on line 2; close the quote"),
        ("a: !!python/object x\n", 1, "a tag here is not known"),
        ("a: !!int x\n", 1, "is not what its tag !!int says"),
        ("a: !!binary '*'\n", 1, "base64"),
        ("a: {<<: 5}\n", 1, "merges mappings only"),
        ("~: 1\n", 1, "a key is missing"),
        ("? [a]\n: 1\n", 1, "a key must be a string"),
        ("a: 1\nb: \x01\n", 2, "U+0001"),
        ("%YAML 9.0\n---\na: 1\n", 1, "incompatible"),
    ],
)
def test_what_is_no_yaml_is_named_with_line_and_cure(text: str, line: int, words: str) -> None:
    error = fails(text)
    assert error.line == line
    assert words in error.message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_without_recursion(opening: str) -> None:
    assert fails(opening * 100_000).message


def test_depth_is_bounded_exactly_and_through_aliases() -> None:
    assert one("[" * MAX_DEPTH + "]" * MAX_DEPTH).value is not None
    assert "deeper" in fails("[" * (MAX_DEPTH + 1)).message
    rungs = "\n".join(f"- &a{i} [[[[[[[[[*a{i - 1}]]]]]]]]]" for i in range(1, 15))
    assert "through the alias" in fails(f"- &a0 x\n{rungs}\n").message


def test_alias_expansion_is_bounded() -> None:
    bomb = "a0: &a0 [" + ",".join("x" * 9) + "]\n"
    bomb += "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    assert str(MAX_ALIASED_NODES) in fails(bomb).message
    merges = "a0: &a0 {x: 1}\n"
    merges += "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 30))
    assert str(MAX_ALIASED_NODES) in fails(merges).message


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(
            codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff\u2028\u2029\x85"
        )
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcdef<.*{", min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values)
def test_json_is_read_as_json(value: Any) -> None:
    text = json.dumps({"root": value}, ensure_ascii=False)
    assert one(text).value == {"root": value}


@given(json_values)
def test_block_yaml_is_read_back_and_every_line_is_where_the_key_is(value: Any) -> None:
    text = yaml.safe_dump(
        {"root": {"inner": value, "last": 1}},
        allow_unicode=True,
        sort_keys=False,
        width=10**6,
        default_style='"',
    )
    [tree] = trees(text)
    assert tree.value["root"]["inner"] == value
    rows = text.split("\n")
    assert rows[tree.lines.line_of(("root", "last")) - 1].strip() == '"last": !!int "1"'


@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"#%@ \n\t,?<~1.\\"), max_size=60))
def test_any_text_gives_values_or_a_yaml_error(text: str) -> None:
    lines = []
    try:
        for tree in trees(text):
            json.dumps(tree.value)
            lines.append(tree.lines.line_of(()))
    except YamlError as error:
        lines.append(error.line)
    assert all(1 <= line <= text.count("\n") + 2 for line in lines)


@pytest.mark.parametrize("first", [1, 11])
@pytest.mark.parametrize("above", ["", "a: 1\n", "a:\n  b: 1\n"])
def test_a_merge_conflict_is_named_at_its_line(above: str, first: int) -> None:
    text = f"{above}<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> theirs\n"
    with pytest.raises(YamlError, match="a merge conflict is left here; resolve it") as caught:
        list(trees(text, first))
    rows = text.splitlines()
    assert rows[caught.value.line - first].startswith(("<<<<<<<", "=======", ">>>>>>>"))


def test_where_a_mistake_began_is_said_if_that_is_another_line() -> None:
    apart = fails("a: 'x\nb: 1\nc: 2\n")
    assert "on line 1" in apart.message
    together = fails('a: "\\q"\n')
    assert "on line" not in together.message
    assert together.line == 1


def test_a_tab_is_blamed_only_where_it_indents() -> None:
    assert "a tab indents" in fails("a:\n\t- 1\n").message
    assert "a tab" not in fails("a: @x\t\n").message


@pytest.mark.parametrize("more", ["", "c: {d: 1, e: [1, {f: 1}]}\n"])
def test_the_first_line_of_a_key_that_is_there_twice(more: str) -> None:
    [tree] = trees(f"b: {{a: 1}}\n{more}a: 1\nz: 1\na: 2\n")
    [problem] = tree.problems
    first = 2 + bool(more)
    assert (problem.line, problem.path) == (first + 2, ("a",))
    assert f"first on line {first};" in problem.message


@pytest.mark.parametrize("tag", ["", "!!float "])
def test_a_number_that_json_lacks_is_named(tag: str) -> None:
    [tree] = trees(f"a: [1, {tag}.nan]\n")
    [problem] = tree.problems
    assert (problem.path, problem.fatal) == (("a", 1), True)
    assert problem.message == ".nan is not a number that JSON has; give a finite number"


def test_diagnostics_inside_of_merged_and_nested_values_have_their_path() -> None:
    [tree] = trees("a: &x {b: [{c: 1, c: 2}]}\nd:\n  <<: {e: .inf}\n  <<: *x\n")
    assert tree.value["d"] == {"e": math.inf, "b": [{"c": 2}]}
    assert [(problem.path, problem.line) for problem in tree.problems] == [
        (("a", "b", 0, "c"), 1),
        (("d", "e"), 3),
    ]


def test_long_keys_and_texts_count_when_aliases_expand() -> None:
    for holder in ("{%s: 1}", "%s"):
        text = f"a: &a {holder % ('k' * 900)}\nb: [{', '.join(['*a'] * 9)}]\n"
        assert one(text).value is not None
        many = f"a: &a {holder % ('k' * 900)}\nb: [{', '.join(['*a'] * (MAX_ALIASED_NODES // 4))}]\n"
        assert str(MAX_ALIASED_NODES) in fails(many).message
        short = f"a: &a {holder % 'k'}\nb: [{', '.join(['*a'] * (MAX_ALIASED_NODES // 4))}]\n"
        assert one(short).value is not None


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("[1.2.3.4, 001:db8::]", ["1.2.3.4", "001:db8::"]),
        ("[2001:db8::, 10.0.0.1]", ["2001:db8::", "10.0.0.1"]),
        ("{ip: fe80::}", {"ip": "fe80::"}),
        ("[[a:]]", [["a:"]]),
        ("[x ::, z]", ["x ::", "z"]),
        ('["a":1, b::, "c:]"]', [{"a": 1}, "b::", "c:]"]),
        ("[b::, c: 1]", ["b::", {"c": 1}]),
    ],
)
def test_a_text_in_brackets_may_end_in_a_colon(written: str, value: object) -> None:
    assert one(f'above: 1\na: {written}\nb: "x:,y:}}" # c:]\n').value == {
        "above": 1,
        "a": value,
        "b": "x:,y:}",
    }


def test_documents_before_a_colon_in_brackets_come_once_and_lines_stay() -> None:
    first, second = trees("a: 1\n...\n---\nb: [c::]\nd: 2\n")

    assert (first.value, second.value) == ({"a": 1}, {"b": ["c::"], "d": 2})
    assert second.lines.line_of(("d",)) == 5


@pytest.mark.parametrize("letter", ["\ue000", "".join(map(chr, range(0xE000, 0xF900)))])
def test_letters_for_private_use_stay_what_they_are(letter: str) -> None:
    text = f"a: [c::]\nb: {letter}\n"

    if len(letter) == 1:
        assert one(text).value == {"a": ["c::"], "b": letter}
    else:
        assert "unexpected ':'" in fails(text).message


@pytest.mark.parametrize(
    ("text", "words"), [("a: {b:{c: 1}}", "space behind"), ("a: [::1]", "begins with a colon")]
)
def test_other_colons_in_brackets_are_named(text: str, words: str) -> None:
    assert words in fails(text).message
