"""Killing the control plane on purpose, and what the shop's visitors see during the outage."""

from __future__ import annotations

from mizzen.demo.part import Part
from mizzen.demo.traffic import Visitors


class Outage:
    """Kills the control plane, starts it again, and counts the pages of the outage."""

    def __init__(self, control_plane: Part, visitors: Visitors) -> None:
        self._control_plane = control_plane
        self._visitors = visitors
        self._began: tuple[int, int, int] | None = None
        self._counted: tuple[int, int, int] | None = None

    def toggle(self) -> None:
        """Kill the control plane, or start it again if it was killed; while it is starting, do nothing."""
        if self._control_plane.halted:
            self._control_plane.resume()
        elif self._control_plane.serves:
            self._began, self._counted = self._visitors.counts(), None
            self._control_plane.kill(halt=True)

    def look(self) -> str | None:
        """Return one line about the outage, or None if there was none. Call this often to notice its end."""
        if self._began is None:
            return None
        if self._counted is None and self._control_plane.serves and not self._control_plane.halted:
            self._counted = self._visitors.counts()
        until = self._counted or self._visitors.counts()
        pages, failed, partial = (now - then for now, then in zip(until, self._began, strict=True))
        seen = f"{pages} pages meanwhile, {failed} failed, {partial} in part"
        if self._counted is not None:
            return f"control plane killed, serves again: {seen}"
        if self._control_plane.halted:
            return f"control plane killed (k starts it): {seen}"
        return f"control plane killed, starts again: {seen}"
