"""How a fault of Mizzen is told to users: what happened, and where in Mizzen."""

from __future__ import annotations

from pathlib import PurePath
from traceback import extract_tb, format_tb
from types import TracebackType
from typing import Final

from mizzen.config.document import ConfigKey
from mizzen.config.group_kinds import SECRET

_LONGEST_REASON: Final = 200
_SHOWN_FRAMES: Final = 8


def reason(key: ConfigKey, error: Exception) -> str:
    """Return the exception's message on one line, or only its type where the message may quote a secret."""
    kind = type(error).__name__
    words = " ".join(str(error).split())
    if not words or key.group_kind == SECRET:
        return kind
    return f"{kind}: {words[:_LONGEST_REASON]}"


def place(traceback: TracebackType | None) -> str:
    """Return where an exception was raised: `function (file:line)`."""
    last = extract_tb(traceback)[-1]
    return f"{last.name} ({PurePath(last.filename).name}:{last.lineno})"


def shown_traceback(error: Exception) -> str:
    """Return the traceback of an exception as text. The exception itself would keep all values of its frames
    in memory."""
    return "".join(format_tb(error.__traceback__)[-_SHOWN_FRAMES:])


def traceback_and_kind(error: Exception) -> str:
    """Return the traceback of an exception and its type, without its message, which may quote a secret."""
    return f"{shown_traceback(error)}{type(error).__name__}"
