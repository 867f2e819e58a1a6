"""How a fault of Mizzen is told to users: what happened, and where in Mizzen."""

from __future__ import annotations

from pathlib import PurePath
from traceback import extract_tb
from types import TracebackType
from typing import Final

from mizzen.config.document import ConfigKey
from mizzen.config.group_kinds import SECRET

_LONGEST_REASON: Final = 200


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
