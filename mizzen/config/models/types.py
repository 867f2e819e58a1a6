"""The scalar types of Istio's API, read as Istio reads them: protobuf's JSON form with Go's durations.

Each alias is an `Annotated` Python type with a `ProtoType`, which holds the type's name in the API (the table
of fields is made from it). The rules are those of protobuf's JSON mapping
(https://protobuf.dev/programming-guides/json/): integers may be written as decimal strings, enum values as
their numbers, bytes in base64; booleans are only true and false.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, Strict
from pydantic_core import PydanticCustomError


@dataclass(frozen=True, slots=True)
class ProtoType:
    """The type's name in Istio's API. `wrapper` is the message that wraps an optional scalar of this type."""

    name: str
    wrapper: str = ""


@dataclass(frozen=True, slots=True)
class Deprecated:
    """Marks a field that Istio deprecates; `instead` says what to do: "write percentage"."""

    instead: str


class IstioEnum(StrEnum):
    """An enum of Istio's API. The order of the members is that of their numbers, from 0.

    A member may be given by its name or by its number, as in protobuf's JSON form.
    """

    @classmethod
    def _missing_(cls, value: object) -> IstioEnum | None:
        if type(value) is int and 0 <= value < len(cls):
            return tuple(cls)[value]
        return None


_DIGITS: Final = re.compile(r"-?\d{1,20}", re.ASCII)


def _integer(value: Any) -> Any:
    """Read an integer as protobuf's JSON form does: also `"80"` and `80.0`, but never a boolean."""
    if type(value) is int:
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise PydanticCustomError("integer", "Input should be a whole number")


_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _number(value: Any) -> Any:
    """Read a number as protobuf's JSON form does: also `"0.5"`, but never a boolean."""
    if type(value) is float or type(value) is int:
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    raise PydanticCustomError("number", "Input should be a number")


Int32 = Annotated[
    int,
    BeforeValidator(_integer),
    Field(ge=-(2**31), le=2**31 - 1),
    ProtoType("int32", "google.protobuf.Int32Value"),
]
UInt32 = Annotated[
    int,
    BeforeValidator(_integer),
    Field(ge=0, le=2**32 - 1),
    ProtoType("uint32", "google.protobuf.UInt32Value"),
]
UInt64 = Annotated[
    int,
    BeforeValidator(_integer),
    Field(ge=0, le=2**64 - 1),
    ProtoType("uint64", "google.protobuf.UInt64Value"),
]
Double = Annotated[
    float,
    BeforeValidator(_number),
    Field(allow_inf_nan=False),
    ProtoType("double", "google.protobuf.DoubleValue"),
]
Bool = Annotated[bool, Strict(), ProtoType("bool", "google.protobuf.BoolValue")]

_DURATION: Final = re.compile(r"([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:h|ms|m|s|us|µs|μs|ns))+)", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(h|ms|m|s|us|µs|μs|ns)", re.ASCII)
_UNIT_MICROSECONDS: Final = {
    "h": Decimal(3_600_000_000),
    "m": Decimal(60_000_000),
    "s": Decimal(1_000_000),
    "ms": Decimal(1_000),
    "us": Decimal(1),
    "µs": Decimal(1),
    "μs": Decimal(1),
    "ns": Decimal("0.001"),
}
_LONGEST_HOURS: Final = 1_193_046
"""136 years: the maximum that Envoy accepts in every field, as it counts some in 32-bit seconds."""
_LONGEST_MICROSECONDS: Final = _LONGEST_HOURS * _UNIT_MICROSECONDS["h"]


def parse_duration(text: str) -> timedelta:
    """Return the duration written in Go's notation: "5s", "1m30s", "1.5s", "100ms", "2h".

    Raises ValueError, with what would be right, for any other text, for more than 136 years (Envoy's limit),
    and for fractions of a microsecond (which would be lost).
    """
    if text in ("0", "+0", "-0"):
        return timedelta(0)
    whole = _DURATION.fullmatch(text)
    if whole is None:
        raise ValueError(
            f'"{text}" is not a duration; write a number with its unit, such as 5s, 1m30s or 100ms'
        )
    microseconds = sum(
        (Decimal(number) * _UNIT_MICROSECONDS[unit] for number, unit in _DURATION_PART.findall(whole[2])),
        start=Decimal(0),
    )
    if microseconds > _LONGEST_MICROSECONDS:
        raise ValueError(f'"{text}" is too long a duration; at most {_LONGEST_HOURS}h is possible')
    if microseconds != microseconds.to_integral_value():
        raise ValueError(f'"{text}" is too fine a duration; whole milliseconds are possible')
    return timedelta(microseconds=int(-microseconds if whole[1] == "-" else microseconds))


def _duration(value: Any) -> timedelta:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError as error:
            raise PydanticCustomError("duration", "{reason}", {"reason": str(error)}) from None
    if isinstance(value, timedelta):
        return value
    raise PydanticCustomError(
        "duration", "Input should be a duration: text with a unit, such as 5s, 1m30s or 100ms"
    )


def _written(duration: timedelta) -> str:
    return f"{duration // timedelta(microseconds=1)}us"


Duration = Annotated[
    timedelta,
    PlainValidator(_duration),
    PlainSerializer(_written, when_used="json"),
    ProtoType("google.protobuf.Duration"),
]


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        standard = value.replace("-", "+").replace("_", "/").rstrip("=")
        try:
            return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
        except (binascii.Error, ValueError):
            pass
    raise PydanticCustomError("base64", "Input should be text in base64")


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


Bytes = Annotated[
    bytes, PlainValidator(_bytes), PlainSerializer(_base64, when_used="json"), ProtoType("bytes")
]
