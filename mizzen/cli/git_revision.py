"""Reads the files of a Git revision, without a checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from mizzen.cli.failure import Failure

if TYPE_CHECKING:
    from mizzen.sources.two_versions import Files

_TIMEOUT = 60
_SUBMODULE_OR_LINK = ("160000", "120000")


def files_of_revision(revision: str, path: Path, name: str) -> Files:
    """Return the files at `path` in a revision, under names that begin with `name`.

    Symbolic links are not followed. Raises Failure with Git's message if there is no repository or revision.
    """
    from mizzen.sources.listing import SUFFIXES
    from mizzen.sources.two_versions import Files

    if revision.startswith("-"):
        raise Failure(f'--git: "{revision}" is no revision; write one such as HEAD~1 or main', exit_code=2)
    folder = path if path.is_dir() else path.parent
    while not folder.is_dir():
        folder = folder.parent
    absolute = path.absolute()
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    try:
        inside = absolute.resolve().relative_to(top.resolve()).as_posix()
    except ValueError as error:
        raise Failure(f"--git: {path} is not in the repository {top}", exit_code=2) from error
    _git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", said=f"no revision {revision}")
    listed = _git(top, "ls-tree", "-r", "-z", "--full-tree", f"{revision}^{{commit}}", "--", inside)
    found: dict[str, str] = {}
    for entry in listed.decode(errors="surrogateescape").split("\0"):
        described, tab, file = entry.partition("\t")
        if not tab or described.split()[0] in _SUBMODULE_OR_LINK:
            continue
        below = "" if inside == "." else inside
        rest = file.removeprefix(below) if below else f"/{file}"
        hidden = any(part.startswith((".", "#")) for part in rest.split("/") if part)
        if not rest or (file.endswith(SUFFIXES) and not hidden):
            found[rest] = described.split()[2]
    contents = _blobs(top, found)
    shown = f"{revision}:{'' if inside == '.' else inside}"
    return Files(
        {f"{name}{rest}": (f"{shown}{rest}".replace(":/", ":"), data) for rest, data in contents.items()}, {}
    )


def _blobs(top: Path, objects: dict[str, str]) -> dict[str, bytes]:
    """Return the contents of objects, all read by one process."""
    if not objects:
        return {}
    asked = "".join(f"{each}\n" for each in objects.values()).encode()
    data = _git(top, "cat-file", "--batch", given=asked)
    found, at = {}, 0
    for rest in objects:
        end = data.index(b"\n", at)
        size = int(data[at:end].split()[2])
        found[rest] = data[end + 1 : end + 1 + size]
        at = end + size + 2
    return found


def _git(folder: Path, *arguments: str, given: bytes | None = None, said: str = "") -> bytes:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=_TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise Failure("--git needs the program git, which is not installed", exit_code=2) from error
    except subprocess.TimeoutExpired as error:
        raise Failure(f"--git: git {arguments[0]} did not end within {_TIMEOUT} s") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise Failure(f"--git: {words or said or f'git {arguments[0]} failed'}", exit_code=2)
    return done.stdout
