"""The options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigPaths = Annotated[
    list[Path], typer.Option("--config", help="A file or folder; may be repeated.", metavar="PATH")
]
FilesAsked = Annotated[
    list[Path] | None,
    typer.Option("--config", help="Ask these files and no server; may be repeated.", metavar="PATH"),
]
MorePaths = Annotated[list[Path] | None, typer.Argument(hidden=True, metavar="PATH")]
"""Further paths of `--config`: a shell writes `--config mesh/*` as one option and several arguments."""
MeshConfigPath = Annotated[
    Path | None, typer.Option("--mesh-config", help="A file with Istio's MeshConfig.", metavar="FILE")
]
NodeOfFiles = Annotated[
    Path | None,
    typer.Option("--node", help="With --config: an Envoy Node as YAML or JSON.", metavar="FILE"),
]
NoCertificates = Annotated[
    bool,
    typer.Option("--no-certificates", help="Behave as a server without --state and --ca."),
]
"""The option of every command that tells from files what a server would do (docs/decisions/0146)."""
AdminAddress = Annotated[
    str, typer.Option("--admin", help="The admin address of the server.", metavar="HOST:PORT")
]
"""The default is `admin_client.ADMIN`."""
