"""Mizzen that waits for its proxies for as long as a busy machine may need."""

from __future__ import annotations

from functools import partial

from mizzen.cli.main import app
from mizzen.server import delivery
from tests import forked_mizzen


def _main() -> None:
    delivery.ANSWER_SECONDS = 20.0
    delivery.TAKE_UP_SECONDS = 0.5
    app()


launch = partial(forked_mizzen.launch, main=_main)
