"""What is wrong with a Secret that cannot be served."""

from __future__ import annotations


class UnusableSecretError(Exception):
    """A Secret that cannot be served. `key` is the entry at fault, empty for the Secret as a whole."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
