import pytest

from mizzen.server.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:15010", "127.0.0.1", 15010),
        ("[::1]:0", "::1", 0),
        (":15010", "0.0.0.0", 15010),
        ("mesh.example:1", "mesh.example", 1),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
        (" 127.0.0.1:1 ", "127.0.0.1", 1),
    ],
)
def test_what_is_an_address(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    ["15010", "localhost", "::1:15010", "a:b", "a:65536", "a:-1", "a:²", "a:١", "[::1:1", "::1]:1", ""],
)
def test_what_is_no_address_is_said_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:15010|\[::1\]:15010"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.8.9.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        (":1", False),
        ("10.0.0.1:1", False),
        ("mesh.example:1", False),
    ],
)
def test_who_can_reach_it(text: str, loopback: bool) -> None:
    assert Address.parse(text).is_loopback is loopback


def test_it_is_written_as_it_is_read() -> None:
    for text in ("127.0.0.1:15010", "[::1]:15010"):
        assert str(Address.parse(text)) == text


def test_another_port_of_the_same_host() -> None:
    assert Address("::1", 0).with_port(15010) == Address("::1", 15010)


@pytest.mark.parametrize(
    ("text", "every"), [(":1", True), ("[::]:1", True), ("10.0.0.1:1", False), ("mesh.example:1", False)]
)
def test_whether_it_names_every_interface(text: str, every: bool) -> None:
    assert Address.parse(text).is_every_interface is every
