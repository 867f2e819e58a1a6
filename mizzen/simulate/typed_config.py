"""Messages inside `Any`: their types and contents."""

from __future__ import annotations

from typing import Any


def type_name(packed: Any) -> str:
    """Return the full name of the message inside an `Any`; empty if there is none."""
    return str(packed.type_url.rpartition("/")[2])


def unpacked(packed: Any, message_type: Any) -> Any | None:
    """Return the message if the `Any` contains one of that type, else None."""
    if type_name(packed) != message_type.DESCRIPTOR.full_name:
        return None
    return message_type.FromString(packed.value)
