"""Rules of PeerAuthentication."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic

SELECTED = "{{selector: {{matchLabels: {{app: a}}}}, portLevelMtls: {ports}}}"
GOOD = SELECTED.format(ports="{8080: {mode: DISABLE}}")


@pytest.mark.parametrize(
    ("bad", "path", "words"),
    [
        ("{portLevelMtls: {8080: {}}}", "spec.portLevelMtls", "selected workloads only"),
        ("{selector: {}, portLevelMtls: {8080: {}}}", "spec.portLevelMtls", "selected workloads only"),
        (SELECTED.format(ports="{}"), "spec.portLevelMtls", "has no port"),
        (SELECTED.format(ports="{0: {}}"), "spec.portLevelMtls.0", "not a port number"),
        (SELECTED.format(ports="{65536: {}}"), "spec.portLevelMtls.65536", "not a port number"),
        ("{selector: {matchLabels: {app: '*'}}}", "spec.selector.matchLabels.app", "wildcard"),
    ],
)
def test_errors(validate: Callable[..., list[Diagnostic]], bad: str, path: str, words: str) -> None:
    errors = [it for it in validate("PeerAuthentication", bad) if it.severity.value == "error"]
    assert [(it.path, words in it.message) for it in errors] == [(path, True)]


@pytest.mark.parametrize(
    "good", ["{}", "{mtls: {}}", "{mtls: {mode: STRICT}}", "{mtls: {mode: UNSET}, selector: null}", GOOD]
)
def test_what_is_valid(validate: Callable[..., list[Diagnostic]], good: str) -> None:
    errors = [it for it in validate("PeerAuthentication", good) if it.severity.value == "error"]
    assert errors == []
