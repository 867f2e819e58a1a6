"""What can keep the demonstration from running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class DemoError(Exception):
    """The demonstration cannot run; the message says why and what to do, in words for the user."""


@asynccontextmanager
async def first_error_alone() -> AsyncIterator[None]:
    """Let the first DemoError of a task group be raised by itself, since one is enough for the user."""
    try:
        yield
    except BaseExceptionGroup as several:
        first = several.exceptions[0]
        if isinstance(first, DemoError):
            raise first from None
        raise
