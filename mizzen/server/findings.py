"""Findings about the configuration as JSON values, in the form that `status` and `analyze` share."""

from __future__ import annotations

from typing import Any

from mizzen.config.diagnostics import Diagnostic


def as_json(finding: Diagnostic) -> dict[str, Any]:
    """Return severity, code, file, line (0: the file as a whole), path and message of `finding`."""
    return {
        "severity": str(finding.severity),
        "code": finding.code,
        "file": finding.origin.file,
        "line": finding.origin.line,
        "path": finding.path,
        "message": finding.message,
    }
