"""Commands that use the state directory of a server take no other folder for it. They run as its owner: the
server must be able to read what they write."""

from __future__ import annotations

import os
from pathlib import Path

from mizzen.cli.failure import Failure


def check_state(directory: Path) -> None:
    """Raise Failure if neither a server nor `mizzen ca create` has made `directory` its state directory;
    OSError if it cannot be looked at."""
    from mizzen.identity.authority_files import FOLDER
    from mizzen.server.state import LOCK

    if not any((directory / mark).exists() for mark in (LOCK, FOLDER)):
        what = "is no state directory" if directory.exists() else "there is no such folder"
        raise Failure(
            f"--state {directory}: {what}; give the folder that the server's --state names, or before its "
            f"first start make it by: mizzen ca create --state {directory}"
        )


def check_owner(directory: Path) -> None:
    """Raise Failure if `directory` belongs to another user; OSError if it cannot be looked at."""
    owner = directory.stat().st_uid
    if owner != os.geteuid():
        raise Failure(f"{directory}: belongs to the user {owner}; run this as that user, as the server does")
