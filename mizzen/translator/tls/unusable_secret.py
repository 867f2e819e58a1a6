"""The error for a Secret that no proxy can use."""

from __future__ import annotations


class UnusableSecretError(Exception):
    """A Secret that no proxy can use. `key` is the faulty entry; empty if the Secret as a whole is faulty."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
