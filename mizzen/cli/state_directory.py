"""Checks of commands that use the state directory of a server: the folder is a state directory, and the user
is its owner, as the server must be able to read what they write."""

from __future__ import annotations

import os
from pathlib import Path

from mizzen.cli.failure import Failure


def check_state(directory: Path) -> None:
    """Raise Failure if `directory` is not a state directory, made by a server or `mizzen ca create`. Raises
    OSError if it cannot be read."""
    from mizzen.identity.authority_files import FOLDER
    from mizzen.server.state import LOCK

    if not any((directory / mark).exists() for mark in (LOCK, FOLDER)):
        what = "is no state directory" if directory.exists() else "there is no such folder"
        raise Failure(
            f"--state {directory}: {what}; give the folder that the server's --state names, or before its "
            f"first start make it by: mizzen ca create --state {directory}"
        )


def check_owner(directory: Path) -> None:
    """Raise Failure if `directory` belongs to a different user, OSError if it cannot be read."""
    owner = directory.stat().st_uid
    if owner != os.geteuid():
        raise Failure(f"{directory}: belongs to the user {owner}; run this as that user, as the server does")
