"""Reading a text with settings of the mesh that is not a document itself: MeshConfig or MeshNetworks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from mizzen.config.codes import NOT_A_DOCUMENT, SCHEMA, SCHEMA_WARNING, SYNTAX, UNSERVED_MESH_FIELD
from mizzen.config.composed_yaml import trees
from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import FieldPath
from mizzen.config.scalars import describe
from mizzen.config.schema_errors import LineOf, place, schema_diagnostics
from mizzen.config.schema_fields import unknown_fields
from mizzen.config.snake_case import with_json_names
from mizzen.config.yaml_tree import Tree, YamlError

Model = TypeVar("Model", bound=BaseModel)

Rules = Callable[[Model, LineOf, str, FieldPath], list[Diagnostic]]
"""Finds what is wrong with settings beyond the types of their fields; arguments as
for `check_mesh_config`."""


@dataclass(frozen=True, slots=True)
class TextStart:
    """Where a text begins: line `first_line` of `file`; `path` is put before all paths."""

    file: str
    first_line: int = 1
    path: FieldPath = ()


def parse_settings(
    model: type[Model],
    data: bytes | str,
    where: TextStart,
    rules: Rules[Model],
    unserved: Callable[[FieldPath], str],
) -> tuple[Model | None, tuple[Diagnostic, ...]]:
    """Read a text as a `model`; return it, or None if a diagnostic is an error.

    An empty text gives the defaults. Unknown fields are warnings; `unserved` makes the message from the path.
    """
    name, file = model.__name__, where.file
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        documents = list(trees(text, where.first_line))
    except UnicodeDecodeError:
        return None, (_error(SYNTAX, "is not UTF-8 text; save it as UTF-8", Origin(file)),)
    except YamlError as error:
        return None, (_error(SYNTAX, error.message, Origin(file, error.line)),)
    documents = [tree for tree in documents if tree.value is not None]
    if not documents:
        return model(), ()
    if len(documents) > 1:
        line = documents[1].lines.line_of(())
        message = f"a second document; a mesh has one {name}, remove the others"
        return None, (_error(NOT_A_DOCUMENT, message, Origin(file, line)),)
    if not isinstance(documents[0].value, dict):
        message = f"must be a mapping of {name}'s fields; not {describe(documents[0].value)}"
        return None, (_error(NOT_A_DOCUMENT, message, Origin(file, documents[0].lines.line_of(()))),)
    return _typed(model, documents[0], where, rules, unserved)


def _typed(
    model: type[Model],
    tree: Tree,
    where: TextStart,
    rules: Rules[Model],
    unserved: Callable[[FieldPath], str],
) -> tuple[Model | None, tuple[Diagnostic, ...]]:
    file, path = where.file, where.path
    content, lines, spelt = with_json_names(model, tree.value, tree.lines, file, above=path)
    problems = tuple(
        Diagnostic(
            Severity.ERROR if problem.fatal else Severity.WARNING,
            SCHEMA if problem.fatal else SCHEMA_WARNING,
            problem.message,
            Origin(file, problem.line),
            place((*path, *problem.path)),
        )
        for problem in tree.problems
    )
    unknown = list(unknown_fields(model, content))
    warnings = tuple(
        Diagnostic(
            Severity.WARNING,
            UNSERVED_MESH_FIELD,
            unserved(field),
            Origin(file, lines.line_of(field)),
            place((*path, *field)),
        )
        for field in unknown
    )
    settings, errors = schema_diagnostics(model, _without(content, unknown), lines.line_of, file, path)
    ruled = rules(settings, lines.line_of, file, path) if settings is not None else []
    found = (*problems, *spelt, *warnings, *errors, *ruled)
    return (None if any(each.severity is Severity.ERROR for each in found) else settings), found


def _without(content: Any, unknown: list[FieldPath]) -> Any:
    """Return `content` without the fields at the paths `unknown`."""
    for path in unknown:
        content = _without_one(content, path)
    return content


def _without_one(content: Any, path: FieldPath) -> Any:
    step, *rest = path
    if isinstance(content, dict):
        if not rest:
            return {key: value for key, value in content.items() if key != step}
        return {k: _without_one(v, tuple(rest)) if k == step else v for k, v in content.items()}
    return [_without_one(v, tuple(rest)) if i == step else v for i, v in enumerate(content)]


def _error(code: str, message: str, origin: Origin) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, origin)
