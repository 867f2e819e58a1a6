"""Finds and reads files with tests of a mesh."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mizzen.config.codes import UNREADABLE
from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.yaml_documents import MAX_FILE_BYTES, too_big
from mizzen.mesh_tests import MeshTestFile, MeshUnderTest, read_mesh_tests
from mizzen.sources.listing import is_mesh_test, list_files, read_file, why_unreadable
from mizzen.sources.loading import LoadedConfigs, load_configs


def load_mesh_tests(paths: Iterable[str | os.PathLike[str]]) -> tuple[MeshTestFile, ...]:
    """Read the tests in files and folders, sorted by name. Raises nothing for user errors: a path that cannot
    be read, or a folder without tests, becomes a file with diagnostics."""
    roots = tuple(dict.fromkeys(os.path.normpath(os.fspath(path)) for path in paths))
    listing = list_files(roots, is_mesh_test)
    found = [_read(name) for name in listing.files]
    for name, problem in listing.problems.items():
        wrong = (replace(each, severity=Severity.ERROR) for each in problem.diagnostics)
        found.append(MeshTestFile(name, diagnostics=tuple(wrong)))
    return tuple(sorted(found, key=lambda each: each.file))


def load_mesh_under_test(
    tests: MeshTestFile, config: Iterable[str | os.PathLike[str]] = ()
) -> tuple[MeshUnderTest, LoadedConfigs]:
    """Return the mesh that a file tests, made of the valid documents of its configuration, and the loaded
    configuration with all diagnostics. `config` replaces the paths that the file names."""
    loaded = load_tested_configs(tests, config)
    mesh = loaded.mesh(certificates_served=tests.certificates_served)
    return MeshUnderTest(mesh, tests.interception_mode), loaded


def load_tested_configs(tests: MeshTestFile, config: Iterable[str | os.PathLike[str]] = ()) -> LoadedConfigs:
    """Return the configuration that a file tests; `config` replaces the paths that the file names."""
    paths = list(config) or configuration_of(tests)
    settings = _beside(tests, tests.mesh_config) if tests.mesh_config else None
    return load_configs(paths, mesh_config=settings)


def configuration_of(tests: MeshTestFile) -> list[str]:
    """Return the paths of the configuration that a file tests, relative to the working directory."""
    return [_beside(tests, path) for path in tests.config]


def _beside(tests: MeshTestFile, path: str) -> str:
    return os.path.normpath(Path(tests.file).parent / path)


def _read(name: str) -> MeshTestFile:
    try:
        data = read_file(name, MAX_FILE_BYTES + 1)
    except OSError as error:
        wrong = Diagnostic(Severity.ERROR, UNREADABLE, why_unreadable(error), Origin(name))
        return MeshTestFile(name, diagnostics=(wrong,))
    if len(data) > MAX_FILE_BYTES:
        return MeshTestFile(name, diagnostics=too_big(name, len(data)).diagnostics)
    return read_mesh_tests(data, name)
