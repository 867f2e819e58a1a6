"""Fields found in encoded messages, compared with what protobuf reads there."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.descriptor_pb2 import UninterpretedOption
from hypothesis import given
from hypothesis import strategies as st

from mizzen.xds.wire import fields, replaced_fields

NAME = UninterpretedOption.DESCRIPTOR.fields_by_name["name"].number
Parts = list[tuple[str, int]]


@st.composite
def parts(draw: st.DrawFn) -> Parts:
    """Parts with names of their own, some of them long."""
    names = draw(st.lists(st.integers(0, 30), unique=True, max_size=12))
    return [(f"{name}-", draw(st.sampled_from([0, 1, 120, 200, 5000]))) for name in names]


def encoded(chosen: Parts, number: int = 1) -> bytes:
    """A message with fields of every kind beside its parts."""
    message = UninterpretedOption(
        identifier_value="a" * (number % 300),
        positive_int_value=number,
        negative_int_value=-number,
        double_value=number / 3,
    )
    for name, length in chosen:
        message.name.add(name_part=name + "x" * length, is_extension=False)
    return message.SerializeToString()


def read(found: Sequence[bytes]) -> Parts:
    names = [each.name_part for each in UninterpretedOption.FromString(b"".join(found)).name]
    return [(name.rstrip("x"), name.count("x")) for name in names]


@given(parts(), st.integers(0, 2**63 - 1))
def test_the_fields_of_a_number_are_found_among_all_kinds(chosen: Parts, number: int) -> None:
    assert read(fields(encoded(chosen, number), NAME)) == chosen


@given(parts(), parts())
def test_what_only_one_of_two_messages_has(old: Parts, new: Parts) -> None:
    gone, fresh = replaced_fields(encoded(old), encoded(new), NAME)
    assert read([gone]) == [each for each in old if each not in new]
    if gone:  # who lost nothing is not asked about
        assert read([fresh]) == [each for each in new if each not in old]
