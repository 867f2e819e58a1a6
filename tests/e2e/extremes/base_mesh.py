"""The base mesh of the extremes: good documents in which every message stands, as plain data."""

from __future__ import annotations

import base64
import copy
import pathlib
from collections.abc import Iterator
from typing import Any

import yaml

from tests.authority import Authority

Document = dict[str, Any]
Path = tuple[str | int, ...]
_HERE = pathlib.Path(__file__).parent
MESH_CONFIG = "MeshConfig"
"""The kind under which cases know the settings of the mesh, which are no document."""


def base_mesh(folder: pathlib.Path) -> dict[str, Document]:
    """Return the documents by `kind name`, and the settings of the mesh; certificates go into `folder`."""
    authority = Authority()
    certificate = authority.issue("static.example.com")
    certificate.write(folder, "cert")
    (folder / "root.pem").write_bytes(authority.certificate)
    words: dict[str, Any] = {
        "PEM": base64.b64encode(certificate.certificate).decode(),
        "KEY": base64.b64encode(certificate.key).decode(),
    }
    shared, *documents = yaml.load_all(
        (_HERE / "base_mesh.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    words |= shared
    (settings,) = yaml.safe_load_all((_HERE / "mesh_config.yaml").read_text(encoding="utf-8"))
    found = {f"{each['kind']} {each['metadata']['name']}": each for each in documents}
    found[MESH_CONFIG] = settings
    return {name: _filled(each, words, str(folder)) for name, each in found.items()}


def _filled(value: Any, words: dict[str, Any], folder: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each, words, folder) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, words, folder) for each in value]
    if isinstance(value, str) and value in words:
        return _filled(copy.deepcopy(words[value]), words, folder)
    return value.replace("FOLDER", folder) if isinstance(value, str) else value


def nodes(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield everything inside of plain data, with its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in items:
        yield (*path, step), inner
        yield from nodes(inner, (*path, step))


def at(document: Any, path: Path) -> Any:
    """Return what stands at a path."""
    for step in path:
        document = document[step]
    return document


def with_own_copies(document: Document, path: Path) -> Document:
    """Return the document, to be changed at `path`: what is on the way there is copied, the rest shared."""
    made: Any = copy.copy(document)
    inner = made
    for step in path[:-1]:
        inner[step] = copy.copy(inner[step])
        inner = inner[step]
    return made
