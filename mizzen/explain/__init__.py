"""What a proxy is sent, told to people: which lines of YAML its parts come from. No IO, no clock."""

from mizzen.explain.origins import PartOrigins

__all__ = ["PartOrigins"]
