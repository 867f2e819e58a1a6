"""Addresses and ports of a run: free ones, and clear words when there are none."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from mizzen.demo import DemoError
from mizzen.demo.loopback import LoopbackNetwork, is_free, pick_network, pick_port, reserved_port
from mizzen.testing.ports import free_port


@pytest.fixture
def taken_everywhere() -> Iterator[int]:
    """A port on which somebody listens on every address."""
    with socket.create_server(("0.0.0.0", free_port())) as server:
        yield server.getsockname()[1]


def test_a_wildcard_listener_takes_the_port_on_every_loopback_address(taken_everywhere: int) -> None:
    assert not is_free("127.0.0.1", taken_everywhere)
    assert not is_free("127.99.7.3", taken_everywhere)


def test_a_listener_on_one_address_leaves_the_others_free() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        port = server.getsockname()[1]
        assert not is_free("127.0.0.1", port)
        assert is_free("127.99.7.3", port)


def test_connections_that_wait_for_their_end_do_not_take_a_port() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the server's side closes first, so it is its port that waits
        client.close()
    assert is_free("127.0.0.1", port)


def test_networks_are_picked_where_the_ports_are_free() -> None:
    network = pick_network([1, 11, 254], [15010])
    assert network.prefix.startswith("127.")
    assert network.prefix not in {"127.0.0", "127.1.0"}
    assert all(is_free(network.address(host), 15010) for host in (1, 11, 254))


def test_a_port_taken_everywhere_is_named(taken_everywhere: int) -> None:
    with pytest.raises(DemoError, match=rf"port {taken_everywhere} is taken .*0\.0\.0\.0.*ss -ltnp"):
        pick_network([1], [taken_everywhere])


def test_a_taken_port_that_the_user_chose_is_an_error(taken_everywhere: int) -> None:
    with pytest.raises(DemoError, match=f"port {taken_everywhere} on 127.0.0.1 is taken.*--port"):
        pick_port("127.0.0.1", taken_everywhere, strict=True)


def test_a_taken_port_that_nobody_chose_gives_way_to_another(taken_everywhere: int) -> None:
    port = pick_port("127.0.0.1", taken_everywhere, strict=False)
    assert port != taken_everywhere
    assert is_free("127.0.0.1", port)


def test_a_reserved_port_is_given_to_nobody_else_though_nobody_listens_there_yet() -> None:
    wanted = free_port()
    with reserved_port("127.0.0.1", wanted) as first, reserved_port("127.0.0.1", wanted) as second:
        assert first == wanted
        assert second != first
        assert is_free("127.0.0.1", second)
    with reserved_port("127.0.0.1", wanted) as again:
        assert again == wanted


def test_a_port_is_not_claimed_where_somebody_listens(taken_everywhere: int) -> None:
    with reserved_port("127.0.0.1", taken_everywhere) as port:
        assert port != taken_everywhere
        assert is_free("127.0.0.1", port)


@pytest.mark.parametrize("number", [0, 255])
def test_only_hosts_of_a_network_have_addresses(number: int) -> None:
    with pytest.raises(ValueError, match="not a host"):
        LoopbackNetwork("127.9.9").address(number)
