"""Reads configurations and node files for the commands that work offline."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mizzen.cli.failure import Failure

if TYPE_CHECKING:
    from mizzen.mesh.proxy.node import Proxy
    from mizzen.sources.loading import LoadedConfigs

_LARGEST_NODE = 1024 * 1024
"""Bytes of a node file; many times what an Envoy may send about itself to a server."""


STANDARD_INPUT = "<stdin>"
"""The name of standard input in diagnostics; on the command line it is `-`."""


def load(
    paths: Sequence[Path], mesh_config: Path | None, given: Mapping[str, bytes] | None = None
) -> LoadedConfigs:
    """Read `paths`, and `given` (texts by name). Raises Failure that names the first path that does not
    exist.

    Invalid documents become diagnostics.
    """
    from mizzen.sources.loading import load_configs

    for path in (*paths, *([mesh_config] if mesh_config else [])):
        if not path.exists():
            raise Failure(f"{path}: there is no such file or folder", exit_code=2)
    return load_configs(paths, mesh_config=mesh_config, given=given)


def standard_input() -> bytes:
    """Read standard input, up to one byte above a file's limit: the reader of YAML refuses that size."""
    from mizzen.config.yaml_documents import MAX_FILE_BYTES

    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)


def load_node(file: Path) -> Proxy:
    """Read an Envoy `Node` from a JSON or YAML file. Raises Failure, with the file's name, if it holds none.

    From a whole Envoy bootstrap the field `node` is taken.
    """
    from mizzen.mesh.proxy.node import NodeError, Proxy

    node = node_content(file)
    try:
        return Proxy.from_node(node)
    except NodeError as error:
        raise Failure(f"{file}: {error}") from error


def node_content(file: Path) -> Mapping[str, Any]:
    """Read the mapping in a node file. Raises Failure if the file cannot be read or is not a mapping."""
    from mizzen.config.composed_yaml import trees
    from mizzen.config.yaml_tree import YamlError

    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST_NODE + 1)
        if len(data) > _LARGEST_NODE:
            raise Failure(f"{file}: has more than {_LARGEST_NODE} bytes; give the node alone")
        # The errors of `trees` quote no value: a whole bootstrap may hold a private key.
        content = next((tree.value for tree in trees(data.decode("utf-8-sig"))), None)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror or error}", exit_code=2) from error
    except YamlError as error:
        raise Failure(
            f"{file}: this is neither YAML nor JSON: on line {error.line}, {error.message}"
        ) from error
    except UnicodeDecodeError as error:
        raise Failure(f"{file}: this is neither YAML nor JSON: it is not UTF-8; save it as UTF-8") from error
    if isinstance(content, dict) and isinstance(content.get("node"), dict):
        content = content["node"]
    if not isinstance(content, dict):
        raise Failure(
            f"{file}: a node file is a mapping with an `id`, as `id: sidecar~10.0.0.7~app.ns~ns.svc...`"
        )
    if "id" not in content and "kind" in content and "apiVersion" in content:
        raise Failure(
            f"{file}: this is no Node, but documents of a mesh (the first is a {content['kind']}); give "
            "them with --config, and here a mapping with an `id`"
        )
    return content
