"""Typing in which a fault of Mizzen costs one document, and the others of its batch take effect."""

from __future__ import annotations

from typing import Any

from mizzen.config.codes import UNTRANSLATABLE
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config, Document
from mizzen.config.faults import place, reason, traceback_and_kind
from mizzen.config.typed_documents import to_config


def contained_config(document: Document) -> tuple[Config[Any] | None, tuple[Diagnostic, ...]]:
    """Do what `to_config` does. If that raises, the document is refused, as one with a mistake is."""
    try:
        return to_config(document)
    except Exception as error:
        message = (
            f"{document.key} cannot be checked: {reason(document.key, error)} "
            f"in {place(error.__traceback__)}; everything else takes effect; "
            "change what is unusual in it, and report it as a fault of Mizzen"
        )
        traceback = traceback_and_kind(error)
        found = Diagnostic(Severity.ERROR, UNTRANSLATABLE, message, document.origin, traceback=traceback)
        return None, (found,)
