"""Mizzen that waits for its proxies for as long as a busy machine may need."""

from __future__ import annotations

from functools import partial

from mizzen.server import delivery
from tests import forked_mizzen


def _change() -> None:
    delivery.ANSWER_SECONDS = 20.0
    delivery.TAKE_UP_SECONDS = 0.5


launch = partial(forked_mizzen.launch, change=_change)
