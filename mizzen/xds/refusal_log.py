"""The log of refused clients, which stays readable when there are thousands of them."""

import logging

log = logging.getLogger("mizzen.xds")

_LINES = 20
_SECONDS = 10.0


class RefusalLog:
    """Writes a line for each refusal, but at most 20 in 10 seconds; then a line with the number left out."""

    __slots__ = ("_lines", "_since", "_unsaid")

    def __init__(self) -> None:
        self._since = 0.0
        self._lines = 0
        self._unsaid = 0

    def say(self, now: float, peer: str, method: str, why: str) -> None:
        """Log that a client was refused; `now` is a clock in seconds."""
        if now - self._since >= _SECONDS:
            if self._unsaid:
                log.warning("%d further streams were refused", self._unsaid)
            self._since, self._lines, self._unsaid = now, 0, 0
        if self._lines < _LINES:
            self._lines += 1
            log.warning("%s %s: refused: %s", peer, method, why)
        else:
            self._unsaid += 1
