"""Commands that write into the state directory run as its owner: the server must be able to read it."""

from __future__ import annotations

import os
from pathlib import Path

from mizzen.cli.failure import Failure


def check_owner(directory: Path) -> None:
    """Raise Failure if `directory` belongs to another user; OSError if it cannot be looked at."""
    owner = directory.stat().st_uid
    if owner != os.geteuid():
        raise Failure(f"{directory}: belongs to the user {owner}; run this as that user, as the server does")
