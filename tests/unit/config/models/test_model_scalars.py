"""Scalars are read as protobuf's JSON form and Go's durations have them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mizzen.config.models import Resolution, SimpleLB
from mizzen.config.models.types import Bool, Bytes, Double, Duration, Int32, UInt32, UInt64, parse_duration


def read(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("1m30s", 90),
        ("1.5s", 1.5),
        ("15m", 900),
        ("100ms", 0.1),
        ("2h", 7200),
        ("1h2m3.5s", 3723.5),
        (".5s", 0.5),
        ("1.s", 1),
        ("0", 0),
        ("0s", 0),
        ("-5s", -5),
        ("+5s", 5),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("1000ns", 0.000001),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert read(Duration, text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5",
        "s",
        "5 s",
        " 5s",
        "5sec",
        "1d",
        "5S",
        "1m 30s",
        "--5s",
        "5s-",
        "1.2.3s",
        "٥s",
        "9999999h",
        "1ns",
        5,
        5.0,
        True,
        None,
        ["5s"],
        {"seconds": 5},
    ],
)
def test_no_durations(value: Any) -> None:
    with pytest.raises(ValidationError):
        read(Duration, value)


def test_what_is_wrong_with_a_duration() -> None:
    with pytest.raises(ValueError, match='"5" is not a duration; write a number with its unit, such as 5s'):
        parse_duration("5")
    with pytest.raises(ValueError, match="too long a duration; at most 1193046h is possible"):
        parse_duration("1193047h")
    assert parse_duration("1193046h").total_seconds() < 2**32
    with pytest.raises(ValueError, match="too fine"):
        parse_duration("1.0000001s")


@given(st.integers(min_value=0, max_value=10**15))
def test_a_duration_is_the_sum_of_its_parts(microseconds: int) -> None:
    minutes, rest = divmod(microseconds, 60_000_000)
    seconds, rest = divmod(rest, 1_000_000)

    assert parse_duration(f"{minutes}m{seconds}s{rest}us") == timedelta(microseconds=microseconds)
    assert parse_duration(f"-{microseconds}us") == -timedelta(microseconds=microseconds)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (UInt32, 80, 80),
        (UInt32, "80", 80),
        (UInt32, 80.0, 80),
        (UInt32, 2**32 - 1, 2**32 - 1),
        (Int32, "-1", -1),
        (Int32, -(2**31), -(2**31)),
        (UInt64, "18446744073709551615", 2**64 - 1),
        (Double, 1, 1.0),
        (Double, "0.5", 0.5),
        (Double, "1e2", 100.0),
        (Bool, True, True),
        (Bool, False, False),
        (Bytes, "aGVsbG8=", b"hello"),
        (Bytes, "aGVsbG8", b"hello"),
        (Bytes, "_-8", b"\xff\xef"),
        (Bytes, "", b""),
    ],
)
def test_scalars(kind: Any, value: Any, expected: Any) -> None:
    result = read(kind, value)

    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (UInt32, -1),
        (UInt32, 2**32),
        (UInt32, True),
        (UInt32, "http"),
        (UInt32, "0x50"),
        (UInt32, "8_0"),
        (UInt32, ""),
        (UInt32, 80.5),
        (UInt32, float("nan")),
        (UInt32, float("inf")),
        (UInt32, "9" * 5000),
        (UInt32, [80]),
        (Int32, 2**31),
        (UInt64, 2**64),
        (Double, True),
        (Double, "NaN"),
        (Double, float("inf")),
        (Double, "half"),
        (Bool, "true"),
        (Bool, 1),
        (Bool, "yes"),
        (Bytes, "a"),
        (Bytes, "not base64!"),
        (Bytes, "grün"),
        (Bytes, 5),
    ],
)
def test_no_scalars(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        read(kind, value)


@pytest.mark.parametrize("value", ["DNS", 2, Resolution.DNS])
def test_an_enum_is_read_by_name_or_number(value: Any) -> None:
    assert read(Resolution, value) is Resolution.DNS


@pytest.mark.parametrize("value", ["dns", "2", 5, -1, True, 2.0, None, ""])
def test_no_enum_values(value: Any) -> None:
    with pytest.raises(ValidationError):
        read(Resolution, value)


def test_numbers_of_an_enum_follow_the_api() -> None:
    names = ["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"]

    assert [read(SimpleLB, number) for number in range(6)] == names
