"""Reads the tests in the bytes of a `*.mesh-test.yaml` file, each with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from mizzen.config.codes import NOT_A_DOCUMENT, SCHEMA, SCHEMA_WARNING, SYNTAX
from mizzen.config.composed_yaml import trees
from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.interception import InterceptionMode
from mizzen.config.scalars import describe
from mizzen.config.schema_errors import place, schema_diagnostics
from mizzen.config.yaml_tree import Tree, YamlError
from mizzen.explain.question import Question, QuestionError
from mizzen.mesh_tests.model import MeshTest, MeshTestDocument


@dataclass(frozen=True, slots=True)
class PlacedTest:
    """A test, its call, and its place in the file."""

    test: MeshTest
    question: Question
    origin: Origin
    caller_origin: Origin


@dataclass(frozen=True, slots=True)
class MeshTestFile:
    """What a file says: which configuration is tested (`config`, `mesh_config`: paths as written), whether
    workloads have certificates, how sidecars get connections, and the tests; no tests if any of the
    diagnostics is an error."""

    file: str
    config: tuple[str, ...] = (".",)
    mesh_config: str = ""
    tests: tuple[PlacedTest, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    certificates_served: bool = True
    interception_mode: InterceptionMode = "REDIRECT"

    @property
    def valid(self) -> bool:
        """True if the tests can be run."""
        return not any(each.severity is Severity.ERROR for each in self.diagnostics)


def read_mesh_tests(data: bytes, file: str) -> MeshTestFile:
    """Read a file of tests; `file` is its name in messages. Mistakes in the bytes become diagnostics."""
    try:
        documents = [tree for tree in trees(data.decode("utf-8-sig")) if tree.value is not None]
    except UnicodeDecodeError:
        return _wrong(file, SYNTAX, "is not UTF-8 text; save it as UTF-8", 0)
    except YamlError as error:
        return _wrong(file, SYNTAX, error.message, error.line)
    if not documents:
        return _wrong(file, NOT_A_DOCUMENT, "has no tests; write them under `tests:`", 0)
    if len(documents) > 1:
        line = documents[1].lines.line_of(())
        return _wrong(file, NOT_A_DOCUMENT, "a second document; put all tests under one `tests:`", line)
    tree = documents[0]
    if not isinstance(tree.value, dict):
        message = f"must be a mapping with `tests`; not {describe(tree.value)}"
        return _wrong(file, NOT_A_DOCUMENT, message, tree.lines.line_of(()))
    return _typed(tree, file)


def _typed(tree: Tree, file: str) -> MeshTestFile:
    problems = tuple(
        Diagnostic(
            Severity.ERROR if problem.fatal else Severity.WARNING,
            SCHEMA if problem.fatal else SCHEMA_WARNING,
            problem.message,
            Origin(file, problem.line),
            place(problem.path),
        )
        for problem in tree.problems
    )
    document, errors = schema_diagnostics(MeshTestDocument, tree.value, tree.lines.line_of, file)
    tests: list[PlacedTest] = []
    found = [*problems, *errors, *_same_names(tree, file)]
    for index, test in _each_test(document, tree):
        path = ("tests", index)
        line = tree.lines.line_of(path)
        try:
            question = _question(test)
        except QuestionError as error:
            name = "tcp" if test.tcp else "request"
            at = Origin(file, tree.lines.line_of((*path, name)))
            found.append(Diagnostic(Severity.ERROR, SCHEMA, str(error), at, place((*path, name))))
            continue
        caller = "gateway" if test.gateway else "from"
        at = Origin(file, tree.lines.line_of((*path, caller)))
        tests.append(PlacedTest(test, question, Origin(file, line), at))
    if document is None:
        return MeshTestFile(file, diagnostics=tuple(sorted(found, key=lambda each: each.origin.line)))
    read = MeshTestFile(
        file,
        document.config,
        document.mesh_config,
        tuple(tests),
        tuple(found),
        document.certificates_served,
        document.interception_mode,
    )
    return read if read.valid else replace(read, tests=())


def _each_test(document: MeshTestDocument | None, tree: Tree) -> Iterator[tuple[int, MeshTest]]:
    """Yield the tests with their indexes; of a document that is not valid, those that are valid alone."""
    if document is not None:
        yield from enumerate(document.tests)
        return
    for index, given in _written(tree):
        with suppress(ValidationError):
            yield index, MeshTest.model_validate(given)


def _same_names(tree: Tree, file: str) -> Iterator[Diagnostic]:
    """Yield an error for each test with the name of one before it."""
    lines: dict[str, int] = {}
    for index, given in _written(tree):
        name = given.get("name")
        if not isinstance(name, str) or not name:
            continue
        path = ("tests", index)
        if name in lines:
            message = f"the test on line {lines[name]} has this name too; change one of them"
            at = Origin(file, tree.lines.line_of((*path, "name")))
            yield Diagnostic(Severity.ERROR, SCHEMA, message, at, place((*path, "name")))
        lines.setdefault(name, tree.lines.line_of(path))


def _written(tree: Tree) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the mappings under `tests`, with their indexes."""
    given = tree.value.get("tests")
    for index, each in enumerate(given if isinstance(given, list) else ()):
        if isinstance(each, dict):
            yield index, each


def _question(test: MeshTest) -> Question:
    if test.tcp:
        return Question.of_connection(test.tcp, tls=test.tls, server_name=test.sni)
    return Question.of_line(
        test.request,
        test.headers,
        http2=test.http2,
        tls=test.tls,
        server_name=test.sni,
        claims=test.claims,
    )


def _wrong(file: str, code: str, message: str, line: int) -> MeshTestFile:
    return MeshTestFile(file, diagnostics=(Diagnostic(Severity.ERROR, code, message, Origin(file, line)),))
