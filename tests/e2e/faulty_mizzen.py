"""Mizzen with one fault: services with the label `fault: translation` cannot be translated."""

from __future__ import annotations

from typing import Any

from mizzen.cli.main import app
from mizzen.translator.clusters import service_resources

_clusters = service_resources.outbound_clusters


def _failing(of: Any, *rest: Any) -> Any:
    if of.service.labels.get("fault") == "translation":
        raise ValueError("out of range")
    return _clusters(of, *rest)


if __name__ == "__main__":
    service_resources.outbound_clusters = _failing
    app()
