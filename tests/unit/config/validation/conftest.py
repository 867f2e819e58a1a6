"""Asking the validators about a spec that is written as YAML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import yaml

from mizzen.config.diagnostics import Diagnostic, Origin
from mizzen.config.document import Config
from mizzen.config.kinds import KINDS_BY_NAME
from mizzen.config.validation.place import Place

Validate = Callable[..., list[Diagnostic]]

ALWAYS_UNSERVED = {
    ("Sidecar", "spec.ingress[0].tls"),
    ("WorkloadGroup", "spec.template"),
    ("WorkloadGroup", "spec.metadata"),
}
"""What always gets a warning that it takes no effect, at which only test_unserved.py looks."""


class DepthAsLine:
    """Lines of a document in which a field at depth n stands in line n."""

    def line_of(self, path: Sequence[str | int]) -> int:
        return len(path)


@pytest.fixture
def validate() -> Validate:
    """validate(kind, spec, name=..., labels=..., annotations=...): what the validator of the kind finds."""

    def ask(kind: str, spec: str, *, name: str = "thing", **metadata: Any) -> list[Diagnostic]:
        [served] = KINDS_BY_NAME[kind]
        config = Config(
            api_version=served.api_versions[0],
            kind=kind,
            namespace="shop",
            name=name,
            spec=served.model.model_validate(yaml.load(spec, Loader=yaml.CSafeLoader)),
            origin=Origin("mesh.yaml", 1),
            lines=DepthAsLine(),
            **metadata,
        )
        place = Place(config)
        served.validate(config, place)
        return [
            it for it in place.diagnostics if it.code != "MZ0001" or (kind, it.path) not in ALWAYS_UNSERVED
        ]

    return ask


@pytest.fixture
def expect(validate: Validate) -> Callable[..., None]:
    """expect(kind, bad, good, path, words, severity, code): one diagnostic for `bad`, none for `good`."""

    def check(
        kind: str, bad: str, good: str, path: str, words: str, severity: str = "error", code: str = "IST0106"
    ) -> None:
        found = validate(kind, bad)
        assert [(it.severity.value, it.code, it.path) for it in found] == [(severity, code, path)], found
        assert words in found[0].message
        assert "; " in found[0].message, "a message says what is wrong; what would be right"
        assert validate(kind, good) == []

    return check
