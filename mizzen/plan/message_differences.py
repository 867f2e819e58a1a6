"""Compares two protobuf messages field by field, and reports every difference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from google.protobuf import duration_pb2, wrappers_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from mizzen.translator.redaction import REDACTED, is_secret, readable

_MOST: Final = 12
"""Number of differences of one part that are listed; the rest is counted."""
_LONGEST: Final = 80
_NAMES: Final = ("name", "cluster_name", "key")
_WRAPPERS: Final = tuple(
    getattr(wrappers_pb2, name)
    for name in (
        "BoolValue",
        "UInt32Value",
        "UInt64Value",
        "Int32Value",
        "Int64Value",
        "DoubleValue",
        "StringValue",
    )
)


def differences(old: Any, new: Any, path: str = "") -> tuple[str, ...]:
    """Return the differences between two messages of one type, a line each: `connect_timeout: 10s to 5s`.

    Secrets read `[redacted]`. Empty only if the messages are equal.
    """
    found = list(_messages(old, new, path, secret=False))
    if len(found) > _MOST:
        found = [*found[:_MOST], f"and {len(found) - _MOST} more"]
    if not found and old.SerializeToString(deterministic=True) != new.SerializeToString(deterministic=True):
        found.append(f"{path or 'its content'}: changed")
    return tuple(found)


def shown(message: Any) -> str:
    """Return a value in short form: a number, a text, a duration, or JSON cut to a limit."""
    if isinstance(message, duration_pb2.Duration):
        return f"{message.seconds + message.nanos / 1e9:g}s"
    if isinstance(message, _WRAPPERS):
        return _scalar(message.value)
    if isinstance(message, Message):
        text = json.dumps(readable(message), ensure_ascii=False) if message.ListFields() else "set"
        return _cut(text)
    return _scalar(message)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, float):
        return f"{value:g}"
    return _cut(str(value)) or '""'


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _messages(old: Any, new: Any, path: str, *, secret: bool) -> Iterator[str]:
    if isinstance(old, AnyMessage):
        yield from _packed(old, new, path, secret=secret)
        return
    held = {field.name: field for field, _ in (*old.ListFields(), *new.ListFields())}
    for name in sorted(held, key=lambda each: held[each].number):
        field = held[name]
        hidden = any(is_secret(each, field, within_secret=secret) for each in (old, new))
        below = f"{path}.{name}" if path else name
        yield from _field(old, new, field, below, secret=hidden)


def _field(old: Any, new: Any, field: FieldDescriptor, path: str, *, secret: bool) -> Iterator[str]:
    was, now = getattr(old, field.name), getattr(new, field.name)
    if field.is_repeated:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield from _maps(was, now, path, secret=secret)
        else:
            yield from _lists(list(was), list(now), path, secret=secret)
        return
    if field.message_type is None:
        if was != now or (field.has_presence and old.HasField(field.name) != new.HasField(field.name)):
            yield _said(path, _named(field, was, secret), _named(field, now, secret))
        return
    there, here = old.HasField(field.name), new.HasField(field.name)
    if there and here:
        if isinstance(was, (duration_pb2.Duration, *_WRAPPERS)):
            if was != now:
                yield _said(path, _hidden(was, secret), _hidden(now, secret))
        else:
            yield from _messages(was, now, path, secret=secret)
    elif there or here:
        yield _said(path, _hidden(was, secret) if there else "none", _hidden(now, secret) if here else "none")


def _named(field: FieldDescriptor, value: Any, secret: bool) -> str:
    if field.enum_type is not None:
        found = field.enum_type.values_by_number.get(value)
        return found.name if found is not None else str(value)
    return _hidden(value, secret)


def _hidden(value: Any, secret: bool) -> str:
    return REDACTED if secret else shown(value)


def _said(path: str, was: str, now: str) -> str:
    return f"{path}: {was} to {now}" if was != now else f"{path}: changed"


def _packed(old: AnyMessage, new: AnyMessage, path: str, *, secret: bool) -> Iterator[str]:
    if old.type_url != new.type_url:
        yield _said(path, old.TypeName().rpartition(".")[2], new.TypeName().rpartition(".")[2])
        return
    if old.value == new.value:
        return
    was, now = unwrapped(old), unwrapped(new)
    if was is None or now is None:
        yield f"{path}: changed"
        return
    found = list(_messages(was, now, path.removesuffix(".typed_config"), secret=secret))
    yield from found or [f"{path}: changed"]


def unwrapped(packed: AnyMessage) -> Any | None:
    """Return the message in an Any, None if its type is not known."""
    try:
        descriptor = packed.DESCRIPTOR.file.pool.FindMessageTypeByName(packed.TypeName())
    except KeyError:
        return None
    return GetMessageClass(descriptor).FromString(packed.value)


def _maps(old: Any, new: Any, path: str, *, secret: bool) -> Iterator[str]:
    for key in sorted({*old, *new}, key=str):
        place = f"{path}[{key}]"
        if key not in new:
            yield f"{place}: removed"
        elif key not in old:
            yield f"{place}: added"
        elif isinstance(old[key], Message):
            yield from _messages(old[key], new[key], place, secret=secret)
        elif old[key] != new[key]:
            yield _said(place, _hidden(old[key], secret), _hidden(new[key], secret))


def _lists(old: Sequence[Any], new: Sequence[Any], path: str, *, secret: bool) -> Iterator[str]:
    if old == new:
        # Equal for protobuf, except for fields that it does not know.
        return
    was, now = _keys(old), _keys(new)
    if was is None or now is None:
        yield from _by_place(old, new, path, secret=secret)
        return
    before, after = dict(zip(was, old, strict=True)), dict(zip(now, new, strict=True))
    for key in was:
        if key not in after:
            yield f"{path}[{key}]: removed"
    for key in now:
        if key not in before:
            yield f"{path}[{key}]: added"
        else:
            yield from _messages(before[key], after[key], f"{path}[{key}]", secret=secret)
    common = [key for key in was if key in after]
    if common != [key for key in now if key in before]:
        yield f"{path}: in a different order"


def _keys(items: Sequence[Any]) -> list[str] | None:
    """Return the names of messages in a list, or None unless each has a unique name."""
    if not items or not isinstance(items[0], Message):
        return None if items else []
    for name in _NAMES:
        field = items[0].DESCRIPTOR.fields_by_name.get(name)
        if field is not None and field.type == FieldDescriptor.TYPE_STRING:
            keys = [str(getattr(item, name)) for item in items]
            return keys if all(keys) and len(set(keys)) == len(keys) else None
    return None


def _by_place(old: Sequence[Any], new: Sequence[Any], path: str, *, secret: bool) -> Iterator[str]:
    was, now = [_bytes(each) for each in old], [_bytes(each) for each in new]
    for tag, left, right, up, down in SequenceMatcher(a=was, b=now, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        if right - left == down - up and isinstance(old[left], Message):
            for offset in range(right - left):
                place = f"{path}[{up + offset}]"
                yield from _messages(old[left + offset], new[up + offset], place, secret=secret)
            continue
        if right > left:
            yield f"{path}: without {', '.join(_hidden(each, secret) for each in old[left:right])}"
        if down > up:
            yield f"{path}: with {', '.join(_hidden(each, secret) for each in new[up:down])}"


def _bytes(value: Any) -> bytes:
    return value.SerializeToString(deterministic=True) if isinstance(value, Message) else repr(value).encode()
