"""The exception by which a command says that it failed."""

from __future__ import annotations


class Failure(Exception):  # noqa: N818 (it is what a user sees, not a fault of the program)
    """Ends the command. `message` goes to standard error; `exit_code` 2 means a wrong command line."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
