"""Typing in which a fault of Mizzen costs one document, and the others of its batch take effect."""

from __future__ import annotations

from pathlib import PurePath
from traceback import extract_tb
from typing import Any, Final

from mizzen.config.codes import UNTRANSLATABLE
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config, ConfigKey, Document
from mizzen.config.group_kinds import SECRET
from mizzen.config.typed_documents import to_config

_LONGEST_REASON: Final = 200


def contained_config(document: Document) -> tuple[Config[Any] | None, tuple[Diagnostic, ...]]:
    """Do what `to_config` does. If that raises, the document is refused, as one with a mistake is."""
    try:
        return to_config(document)
    except Exception as error:
        place = extract_tb(error.__traceback__)[-1]
        message = (
            f"{document.key} cannot be checked: {reason(document.key, error)} "
            f"({PurePath(place.filename).name}:{place.lineno}); everything else takes effect; "
            "change what is unusual in it, and report it as a fault of Mizzen"
        )
        return None, (Diagnostic(Severity.ERROR, UNTRANSLATABLE, message, document.origin),)


def reason(key: ConfigKey, error: Exception) -> str:
    """Return the exception's message on one line, or only its type where the message may quote a secret."""
    kind = type(error).__name__
    words = " ".join(str(error).split())
    if not words or key.group_kind == SECRET:
        return kind
    return f"{kind}: {words[:_LONGEST_REASON]}"
