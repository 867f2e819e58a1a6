"""No content of a document raises: all that is wrong becomes diagnostics with a place."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from mizzen.config import Severity, parse_documents, parse_mesh_config, to_config
from mizzen.config.kinds import KINDS, Kind
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.schema_fields import places_of

scalars = st.sampled_from(
    [
        "",
        "*",
        "a",
        "a.b",
        "*.com",
        "10.0.0.1",
        "10.0.0.0/8",
        "5s",
        "0s",
        "-1s",
        "[",
        "%",
        "%X%",
        "istio",
        "unix:///x",
        "~/*",
    ]
) | st.sampled_from([0, 1, -1, 80, 65536, 2**40, 0.5, True, False, None])


@cache
def contents(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Values in the shape of `model`'s documents, with fields at right and at wrong places."""
    names = st.sampled_from(sorted(places_of(model)) or ["x"])
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
        max_leaves=25,
    )


@cache
def labels(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    return contents(model) | st.just({})


@cache
def specs(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    shaped = st.dictionaries(st.sampled_from(sorted(model.model_fields)), contents(model), max_size=4)
    return shaped | contents(model)


@pytest.mark.parametrize("one", [pytest.param(kind, id=str(kind.of)) for kind in KINDS.values()])
@settings(max_examples=60)
@given(data=st.data())
def test_documents_of_any_content(one: Kind, data: st.DataObject) -> None:
    content: dict[str, Any] = {
        "apiVersion": one.api_versions[-1],
        "kind": one.name,
        "metadata": {"name": "istio", "labels": data.draw(labels(one.model))},
    }
    spec = data.draw(specs(one.model))
    if one.has_spec:
        content["spec"] = spec
    elif isinstance(spec, dict):
        content = {**spec, **content}
    found = parse_documents(json.dumps(content, indent=1).encode(), "f")
    for document in found.documents:
        config, diagnostics = to_config(document)
        assert (config is None) == any(each.severity is Severity.ERROR for each in diagnostics)
        assert all(each.origin.line >= 1 and each.message for each in diagnostics)


@given(contents(MeshConfig))
def test_mesh_settings_of_any_content(content: Any) -> None:
    settings_, diagnostics = parse_mesh_config(json.dumps(content), "f")
    assert (settings_ is None) == any(each.severity is Severity.ERROR for each in diagnostics)
