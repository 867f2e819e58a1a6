"""Packing extension configurations into `Any`: equal messages give equal bytes."""

from __future__ import annotations

from typing import Any as AnyType

from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message


def pack(message: Message) -> Any:
    """Return `message` packed into an Any with deterministic serialisation, so that equal messages have equal
    bytes and equal versions."""
    packed = Any()
    packed.Pack(message, deterministic=True)
    return packed


def typed(extension: AnyType, name: str, message: Message) -> AnyType:
    """Return an `extension` message (a Filter, HttpFilter, TypedExtensionConfig...) that holds `message`."""
    return extension(name=name, typed_config=pack(message))
