"""Selecting a port of a destination."""

from __future__ import annotations

from mizzen.config.models.base import IstioModel
from mizzen.config.models.types import UInt32


class PortSelector(IstioModel):
    """A port of a service, by its number."""

    number: UInt32 = 0
