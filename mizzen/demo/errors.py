"""Errors that keep the demonstration from running."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class DemoError(Exception):
    """The demonstration cannot run; the message tells the user why and what to do."""


@asynccontextmanager
async def first_error_alone() -> AsyncIterator[None]:
    """Raise only the first DemoError of a task group, since one is enough for the user."""
    try:
        yield
    except BaseExceptionGroup as several:
        first = several.exceptions[0]
        if isinstance(first, DemoError):
            raise first from None
        raise
