"""Mizzen with one fault: services with the label `fault: translation` cannot be translated."""

from __future__ import annotations

from functools import partial
from typing import Any

from mizzen.cli.main import app
from mizzen.translator.clusters import service_resources
from tests import forked_mizzen

_clusters = service_resources.outbound_clusters


def _failing(of: Any, *rest: Any) -> Any:
    if of.service.labels.get("fault") == "translation":
        raise ValueError("out of range")
    return _clusters(of, *rest)


def _main() -> None:
    service_resources.outbound_clusters = _failing
    app()


launch = partial(forked_mizzen.launch, main=_main)
