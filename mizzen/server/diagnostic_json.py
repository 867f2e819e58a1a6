"""Diagnostics about the configuration as JSON values, in the form that `status` and `analyze` share."""

from __future__ import annotations

from typing import Any

from mizzen.config.diagnostics import Diagnostic


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return severity, code, file, line (0: the file as a whole), path and message of `diagnostic`."""
    return {
        "severity": str(diagnostic.severity),
        "code": diagnostic.code,
        "file": diagnostic.origin.file,
        "line": diagnostic.origin.line,
        "path": diagnostic.path,
        "message": diagnostic.message,
    }
