"""A file of which an earlier version is known reads as it does from nothing: documents, lines,
diagnostics."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.config import ConfigStore, ParsedFile, parse_documents
from mizzen.config.document import Document

NAMES = st.sampled_from("abc")


def service(name: str, port: object) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports:\n  - port: {port}\n"


def entry(name: str, address: str) -> str:
    return (
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: " + name + "\nspec:\n"
        f"  hosts: [{name}.example.com]\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n"
        f"  resolution: STATIC\n  endpoints:\n  - address: {address}\n"
    )


def several(name: str) -> str:
    items = "".join(
        "- " + service(name + each, 80).replace("\n", "\n  ").rstrip() + "\n" for each in ("", "x")
    )
    return f"apiVersion: v1\nkind: List\nitems:\n{items}"


DOCUMENTS = st.one_of(
    st.builds(service, NAMES, st.sampled_from([80, 81, "many"])),
    st.builds(entry, NAMES, st.sampled_from(["1.2.3.4", "1.2.3.5", "nowhere at all"])),
    st.builds(several, NAMES),
    st.sampled_from(
        [
            "",
            "# only a comment\n",
            "kind: [\n",
            "just a text\n",
            "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: d}\n",
            "kind: Service\napiVersion: v1\nmetadata: {name: '{{ .Values.name }}'}\n",
            "text: |\n  ---\n  # no marker\n",
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: s}\n"
            "spec: {hosts: [s.example.com], ports: [{number: 80, name: h, target_port: 8080}]}\n",
        ]
    ),
)
PADDED = st.builds(lambda before, text: before + text, st.sampled_from(["", "", "# a\n", "\n\n"]), DOCUMENTS)
FILLER = [service(f"filler-{number}", 80) for number in range(16)]
"""So many documents that pieces are remembered."""


def text_of(documents: list[str]) -> bytes:
    return "---\n".join([*documents, *FILLER]).encode()


@given(st.lists(st.lists(PADDED, max_size=5), min_size=2, max_size=4))
@settings(max_examples=150)
def test_known_pieces_read_as_new_ones(versions: list[list[str]]) -> None:
    known: ParsedFile | None = None
    followed = ConfigStore()
    for documents in versions:
        data = text_of(documents)
        fresh = parse_documents(data, "f.yaml")
        parsed = parse_documents(data, "f.yaml", known=known.pieces if known is not None else None)
        assert shown(parsed) == shown(fresh)
        assert parsed.pieces.keys() == fresh.pieces.keys()
        known = parsed
        followed.apply({"f.yaml": parsed})
        if not parsed.broken:
            same_in_force(followed, documents, fresh)


def same_in_force(followed: ConfigStore, documents: list[str], fresh: ParsedFile) -> None:
    """What a store that has followed has of the file's own words, a new store has too, at the same lines."""
    new = ConfigStore()
    new.apply({"f.yaml": fresh})
    for config in new.configs():
        held = followed.get(config.key)
        assert held is not None
        assert held.spec == config.spec
        for path in ((), ("metadata", "name"), ("spec", "ports", 0), ("spec", "endpoints", 0, "address")):
            assert held.origin_of(*path) == config.origin_of(*path)


def shown(parsed: ParsedFile) -> Any:
    return (
        [of_document(each) for each in parsed.documents],
        parsed.diagnostics,
        parsed.refused,
        parsed.broken,
        parsed.unidentified,
    )


def of_document(document: Document) -> Any:
    paths: list[tuple[str | int, ...]] = [(), ("kind",), ("metadata", "name"), ("spec", "ports", 0, "port")]
    return (
        document.api_version,
        document.key,
        document.origin,
        document.digest,
        dict(document.content),
        [document.lines.line_of(path) for path in paths],
    )


def test_an_unchanged_document_is_not_read_again() -> None:
    first = parse_documents(text_of([entry("a", "1.2.3.4")]), "f.yaml")
    second = parse_documents(text_of([entry("a", "1.2.3.5")]), "f.yaml", known=first.pieces)
    changed, *same = second.documents
    assert changed.content["spec"]["endpoints"] == [{"address": "1.2.3.5"}]
    assert all(after.lines is before.lines for after, before in zip(same, first.documents[1:], strict=True))
    assert not any(isinstance(each.content, dict) for each in same)
