"""The JSON schema of `*.mesh-test.yaml` files, for editors."""

from __future__ import annotations

from typing import Any

from mizzen.mesh_tests.model import ENDINGS, MeshTestDocument


def json_schema() -> dict[str, Any]:
    """Return the schema, made from the models: docs/mesh-test.schema.json."""
    schema: dict[str, Any] = _plain(MeshTestDocument.model_json_schema())
    models = schema["$defs"]
    models["Expectation"]["oneOf"] = [{"required": [name]} for name in ENDINGS]
    models["MeshTest"]["allOf"] = [
        {"oneOf": [{"required": ["from"]}, {"required": ["gateway"]}]},
        {"oneOf": [{"required": ["request"]}, {"required": ["tcp"]}]},
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Tests of a mesh, run by mizzen test",
    }


def _plain(value: Any) -> Any:
    """Return a schema without pydantic's additions: titles made from names, and bounds of its own types."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    bounds = {"ge": "minimum", "le": "maximum"}
    made = {bounds.get(key, key): _plain(each) for key, each in value.items()}
    if isinstance(made.get("title"), str):
        del made["title"]
    if made.get("default", ...) is None:
        del made["default"]
    return made
