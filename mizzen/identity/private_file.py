"""Files that hold keys: read only if no other user may read them, and written so
that no other user ever can."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path
from typing import Final

_OTHERS: Final = 0o077
_EVERYONE: Final = 0o007


class OpenToOthersError(Exception):
    """Other users may read the file; the message names it and says what to do."""


def read_private(path: Path, *, group_may: bool = False) -> bytes:
    """Return the content of a file that no other user may read; with `group_may`, its group may.

    Raises OSError, or OpenToOthersError.
    """
    with path.open("rb") as file:
        # The mode of the open file: its name may mean a different file by now.
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & (_EVERYONE if group_may else _OTHERS):
            raise OpenToOthersError(
                f"{path}: others may read it (mode {mode:o}), and who has this key can pose as its owner; "
                f"chmod 600 {path}"
            )
        return file.read()


def write_private(path: Path, content: bytes, *, replaces: bool = True) -> None:
    """Write a file that no other user can read at any time, whole or not at all.

    Raises OSError; FileExistsError if it exists and `replaces` is not set.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replaces:
            temporary.rename(path)
        else:
            path.hardlink_to(temporary)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def leave_no_core() -> None:
    """Keep this process and its children from writing a core file in a crash: it would hold every key."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
