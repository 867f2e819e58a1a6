"""Envoy messages as plain values for people to read, without secrets.

Envoy's API itself marks secret fields by the annotation `udpa.annotations.sensitive`, which Envoy's own
config dump uses too. Names of files and environment variables inside them are shown, because they say where a
secret is, not what it is.
"""

from __future__ import annotations

from typing import Any

from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import JwtProvider
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from udpa.annotations import sensitive_pb2

from mizzen.config.json_web_keys import tells_secrets

REDACTED = "[redacted]"
_NOT_SECRET = frozenset({"filename", "environment_variable", "watched_directory"})


def readable(message: Message, *, show_secrets: bool = False) -> dict[str, Any]:
    """Return `message` as JSON values under protobuf's field names, in a fixed order.

    `@type` and `name` come first, then all other keys in alphabetical order. Secrets read `[redacted]` unless
    `show_secrets`. Raises TypeError if an `Any` inside has a type that is not imported.
    """
    if not show_secrets:
        copied = type(message)()
        copied.CopyFrom(message)
        _redact(copied)
        message = copied
    content = json_format.MessageToDict(message, preserving_proto_field_name=True)
    shown: dict[str, Any] = _said_as_text(_ordered(content))
    return shown


def is_secret(message: Message, field: FieldDescriptor, *, within_secret: bool = False) -> bool:
    """Return whether a field of `message` is secret. `within_secret`: the whole message is secret."""
    if field.name in _NOT_SECRET:
        return False
    if within_secret or field.GetOptions().Extensions[sensitive_pb2.sensitive]:
        return True
    # Envoy's API marks no key set as sensitive, but a user's may hold private keys.
    if not isinstance(message, JwtProvider) or field.name != "local_jwks":
        return False
    provider: Any = message
    return tells_secrets(provider.local_jwks.inline_string)


def _redact(message: Message, *, secret: bool = False) -> None:
    """Overwrite, in place, each text and bytes value of sensitive fields at any depth."""
    if isinstance(message, AnyMessage):
        _redact_any(message, secret)
        return
    for field, value in message.ListFields():
        hidden = is_secret(message, field, within_secret=secret)
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                _redact_map(value, field, hidden)
            elif field.is_repeated:
                for item in value:
                    _redact(item, secret=hidden)
            else:
                _redact(value, secret=hidden)
        elif hidden:
            _redact_scalar(message, field)


def _redact_any(wrapped: AnyMessage, secret: bool) -> None:
    try:
        descriptor = _pool_of(wrapped).FindMessageTypeByName(wrapped.TypeName())
    except KeyError:
        return
    inner = GetMessageClass(descriptor)()
    wrapped.Unpack(inner)
    before = inner.SerializeToString(deterministic=True)
    _redact(inner, secret=secret)
    after = inner.SerializeToString(deterministic=True)
    if after != before:
        wrapped.value = after


def _redact_map(value: Any, field: FieldDescriptor, hidden: bool) -> None:
    assert field.message_type is not None
    of_messages = field.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_MESSAGE
    for key in list(value):
        if of_messages:
            _redact(value[key], secret=hidden)
        elif hidden and isinstance(value[key], str):
            value[key] = REDACTED
        elif hidden and isinstance(value[key], bytes):
            value[key] = REDACTED.encode()


def _redact_scalar(message: Message, field: FieldDescriptor) -> None:
    if field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        return
    mask: str | bytes = REDACTED if field.type == FieldDescriptor.TYPE_STRING else REDACTED.encode()
    if field.is_repeated:
        held = getattr(message, field.name)
        held[:] = [mask] * len(held)
    else:
        setattr(message, field.name, mask)


def _pool_of(message: Message) -> Any:
    return message.DESCRIPTOR.file.pool


_MASK_IN_BASE64 = "W3JlZGFjdGVkXQ=="


def _said_as_text(value: Any) -> Any:
    """Return `value` with the mask of bytes fields, which JSON shows in base64, as plain text."""
    if isinstance(value, dict):
        return {key: _said_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_said_as_text(item) for item in value]
    return REDACTED if value == _MASK_IN_BASE64 else value


_FIRST = {"@type": 0, "name": 1}


def _ordered(value: Any) -> Any:
    """Return `value` with the keys of all mappings in a fixed order, which protobuf's maps do not have."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (_FIRST.get(key, 2), key))
        return {key: _ordered(value[key]) for key in keys}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    return value
