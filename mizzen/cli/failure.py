"""How a command ends when it cannot do what was asked."""

from __future__ import annotations


class Failure(Exception):  # noqa: N818 (it is what a user sees, not a fault of the program)
    """Ends the command with `message` on standard error and `exit_code` (2: the command line itself is wrong)."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
