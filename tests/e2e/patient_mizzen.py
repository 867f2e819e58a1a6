"""Mizzen that waits for its proxies for as long as a busy machine may need."""

from __future__ import annotations

from mizzen.cli.main import app
from mizzen.server import delivery

if __name__ == "__main__":
    delivery.ANSWER_SECONDS = 20.0
    delivery.TAKE_UP_SECONDS = 0.5
    app()
