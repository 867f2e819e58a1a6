"""An analysis that followed the changes of a mesh finds what a new one finds, also if it was left early."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from mizzen.config import ConfigStore, ParsedFile, parse_documents
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.mesh_config import MeshConfig
from mizzen.mesh.analysis import Analysis, analyze
from mizzen.mesh.snapshot import Mesh
from tests.properties.translator.changing_meshes import FILES, MESH_CONFIGS, meeting_documents


@dataclass(frozen=True)
class Batch:
    """Files that change together. The analysis that follows is left after `steps` steps, or ends."""

    files: dict[str, list[dict[str, Any]]]
    comments: int
    mesh_config: MeshConfig | None
    steps: int | None


@st.composite
def histories(draw: st.DrawFn) -> list[Batch]:
    documents = draw(meeting_documents())
    return draw(
        st.lists(
            st.builds(
                Batch,
                st.dictionaries(
                    st.sampled_from(FILES), st.lists(documents, max_size=3), min_size=1, max_size=6
                ),
                st.sampled_from((0, 0, 3)),
                st.sampled_from((None, None, None, *MESH_CONFIGS)),
                st.none() | st.integers(0, 20),
            ),
            min_size=1,
            max_size=6,
        )
    )


def parsed(name: str, documents: list[dict[str, Any]], comments: int) -> ParsedFile:
    text = "# a comment\n" * comments + "\n---\n".join(map(json.dumps, documents))
    return parse_documents(text.encode(), name)


def end_of(steps: Generator[None, None, Sequence[Diagnostic]], most: int | None) -> list[Diagnostic] | None:
    """Go on for `most` steps, or to the end; return what was found at the end."""
    try:
        while most is None or most > 0:
            next(steps)
            most = None if most is None else most - 1
    except StopIteration as end:
        return list(end.value)
    return None


@given(histories(), st.booleans())
@settings(max_examples=60)
def test_it_finds_what_a_new_analysis_finds(history: list[Batch], checking: bool) -> None:
    store, mesh = ConfigStore(), Mesh.build(())
    analysis = Analysis(checking=checking)
    for batch in history:
        files = {name: parsed(name, documents, batch.comments) for name, documents in batch.files.items()}
        mesh, _ = mesh.updated(store.apply(files), batch.mesh_config)
        found = end_of(analysis.steps(mesh), batch.steps)
        if found is not None:
            assert found == analyze(mesh)
    assert end_of(analysis.steps(mesh), None) == analyze(mesh)


@st.composite
def documents_in_two_orders(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    documents = draw(st.lists(draw(meeting_documents()), max_size=12, unique_by=_key))
    return documents, draw(st.permutations(documents))


def _key(document: dict[str, Any]) -> tuple[Any, ...]:
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace"), metadata["name"]


@given(documents_in_two_orders())
@settings(max_examples=25)
def test_diagnostics_do_not_depend_on_the_order_in_which_documents_came(
    orders: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    found = []
    for documents in orders:
        store, mesh = ConfigStore(), Mesh.build(())
        for document in documents:
            change = store.apply({f"{_key(document)}.yaml": parsed(f"{_key(document)}.yaml", [document], 0)})
            mesh, _ = mesh.updated(change, None)
        found.append(analyze(mesh))
    assert found[0] == found[1]
