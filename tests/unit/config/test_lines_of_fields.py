"""The line of any field, in small documents and big ones, and what a diagnostic says when there are too
many."""

from __future__ import annotations

from itertools import permutations

import pytest

from mizzen.config import ConfigStore, Diagnostic, Origin, Severity, parse_documents
from mizzen.config.composed_yaml import trees
from mizzen.config.diagnostics import MAX_DIAGNOSTICS, bounded, in_reading_order
from mizzen.config.group_kinds import WORKLOAD_ENTRY
from mizzen.config.lines import DocumentLines


def lines(text: str) -> DocumentLines:
    [tree] = trees(text)
    return tree.lines


@pytest.mark.parametrize("count", [3, 50, 51, 52, 400])
def test_lines_of_many_fields_and_items(count: int) -> None:
    text = "map:\n" + "".join(f"  k{number}:\n    in: 1\n" for number in range(count))
    text += "list:\n" + "".join(f"- at: 1\n  deep: [{number}]\n" for number in range(count))
    found = lines(text)
    for _ in range(2):
        for number in (0, count // 2, count - 1):
            assert found.line_of(("map", f"k{number}")) == 2 + 2 * number
            assert found.line_of(("map", f"k{number}", "in")) == 3 + 2 * number
            assert found.line_of(("list", number)) == 2 * count + 3 + 2 * number
            assert found.line_of(("list", number, "deep", 0)) == 2 * count + 4 + 2 * number
        assert found.line_of(("map", "absent")) == 1, "the nearest that is there"
        assert found.line_of(("list", count)) == 2 * count + 2
        assert found.line_of(("list", "k0")) == 2 * count + 2
        assert found.line_of(("map", 0)) == 1


def test_of_a_key_that_is_there_twice_the_first_counts() -> None:
    filler = "".join(f"k{number}: 1\n" for number in range(60))
    assert lines(f"{filler}a: 1\na: 2\n").line_of(("a",)) == 61


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("a:\n  b: 2\n  c: [2]\n", True),
        ("a:\n\n  b: 1\n  c: [1]\n", False),
        ("a:\n  b: 1\n\n  c: [1]\n", False),
        ("\na:\n  b: 1\n  c: [1]\n", False),
        ("a:\n  b: 1\n  d: [1]\n", False),
        ("a:\n  b: 1\n  c: [1, 2]\n", False),
        ("a:\n  b: [1]\n  c: 1\n", False),
    ],
)
def test_lines_are_the_same_if_they_are_for_all_fields(other: str, same: bool) -> None:
    assert lines("a:\n  b: 1\n  c: [1]\n").same_as(lines(other)) is same


SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - {name: http, port: 80}\n"


def test_a_document_whose_fields_moved_has_its_new_lines_and_the_same_spec() -> None:
    store = ConfigStore()
    store.apply({"a.yaml": parse_documents(SERVICE.encode(), "a.yaml")})
    [before] = store.configs()
    store.apply({"a.yaml": parse_documents(SERVICE.replace("  ports", "\n  ports").encode(), "a.yaml")})
    [after] = store.configs()
    assert str(before.origin_of("spec", "ports", 0)) == "a.yaml:6"
    assert str(after.origin_of("spec", "ports", 0)) == "a.yaml:7"
    assert after.spec is before.spec


def test_diagnostics_at_one_line_of_two_documents_have_one_order() -> None:
    # One of the two is in force as it was, at a line that holds the other by now.
    def at(name: str | None) -> Diagnostic:
        document = WORKLOAD_ENTRY.key("default", name) if name else None
        return Diagnostic(Severity.WARNING, "MZ0218", "nobody calls it", Origin("a.yaml", 5, document))

    found = [at(None), at("one"), at("two")]
    assert len(set(found)) == 3
    for mixed in permutations(found):
        assert in_reading_order(mixed) == found


def diagnostic(number: int, severity: Severity) -> Diagnostic:
    return Diagnostic(severity, f"MZ{number:04}", f"number {number}", Origin("a.yaml", number))


def test_an_error_among_too_many_diagnostics_stays_an_error() -> None:
    warnings = [diagnostic(number, Severity.WARNING) for number in range(MAX_DIAGNOSTICS + 5)]
    assert bounded(warnings[:MAX_DIAGNOSTICS]) == tuple(warnings[:MAX_DIAGNOSTICS])
    *shown, rest = bounded(warnings)
    assert shown == warnings[:MAX_DIAGNOSTICS]
    assert (rest.severity, rest.origin.line) == (Severity.WARNING, MAX_DIAGNOSTICS)
    assert rest.message == "5 more diagnostics like this are not shown; correct those before it first"
    warnings[-2] = diagnostic(MAX_DIAGNOSTICS + 3, Severity.ERROR)
    rest = bounded(warnings)[-1]
    assert (rest.severity, rest.code, rest.origin.line) == (
        Severity.ERROR,
        warnings[-2].code,
        MAX_DIAGNOSTICS + 3,
    )
