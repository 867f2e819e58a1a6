"""What lets parts of the translation fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mizzen.translator.clusters.service_resources import ServiceTranslator


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., bool]], list[str]]:
    """Lets the builder of clusters raise for some services and profiles; returns what it was asked for."""

    def patch(is_bad: Callable[..., bool]) -> list[str]:
        asked: list[str] = []
        build = ServiceTranslator.resources

        def raising(self: ServiceTranslator, service: Any, *rest: Any, **named: Any) -> Any:
            asked.append(service.hostname.split(".")[0])
            if is_bad(service, self.profile):
                raise ValueError("out of range")
            return build(self, service, *rest, **named)

        monkeypatch.setattr(ServiceTranslator, "resources", raising)
        return asked

    return patch
