"""Mizzen with one fault: services with the label `fault: translation` cannot be translated."""

from __future__ import annotations

from typing import Any

from mizzen.cli.main import app
from mizzen.translator import outbound_builder

_clusters = outbound_builder.outbound_clusters


def _failing(service: Any, *rest: Any, **named: Any) -> Any:
    if service.labels.get("fault") == "translation":
        raise ValueError("out of range")
    return _clusters(service, *rest, **named)


if __name__ == "__main__":
    outbound_builder.outbound_clusters = _failing
    app()
