"""What counts as an IP address."""

from __future__ import annotations

import ipaddress

from hypothesis import example, given
from hypothesis import strategies as st

from mizzen.config.validation.addresses import is_ip_address

PARTS = st.integers(0, 300).map(str) | st.sampled_from(
    ["", "00", "01", "1 ", "+1", "a", "٣", "1\n", "0x1", "1/2"]
)


@given(st.lists(PARTS, min_size=3, max_size=5).map(".".join))
@example("reviews.default")
@example("::1")
@example("::ffff:1.2.3.4")
def test_addresses_are_those_of_the_standard_library(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert not is_ip_address(text)
    else:
        assert is_ip_address(text)


def test_an_address_has_no_zone() -> None:
    assert not is_ip_address("fe80::1%eth0")
