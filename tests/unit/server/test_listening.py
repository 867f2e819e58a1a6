"""Ports that are to be had, and what is said of those that are not."""

import errno
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mizzen.server.address import Address
from mizzen.server.listening import ListenError, explain, listen, other_server


def test_a_port_that_is_free_is_listened_on() -> None:
    with listen(Address("127.0.0.1", 0), "--admin-address") as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
        assert not listening.getblocking(), "the loop serves other things too"
        with socket.create_connection(listening.getsockname(), timeout=10):
            pass


def test_a_port_is_had_again_at_once_after_its_connections_have_ended() -> None:
    with listen(Address("127.0.0.1", 0), "-") as first:
        port = first.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        first.setblocking(True)
        served, _ = first.accept()
        served.close()  # whoever closes first keeps the port in TIME_WAIT
        client.close()
    listen(Address("127.0.0.1", port), "-").close()


def test_a_port_that_somebody_listens_on_is_not_taken() -> None:
    with listen(Address("127.0.0.1", 0), "-") as first:
        address = Address("127.0.0.1", first.getsockname()[1])
        with pytest.raises(ListenError) as refused:
            listen(address, "--grpc-address")
    assert str(refused.value) == (f"--grpc-address {address}: something else listens on this port already")


def test_an_address_of_another_machine_is_said_to_be_one() -> None:
    with pytest.raises(
        ListenError, match=r"^--tls-address 192\.0\.2\.1:0: this machine has no such address$"
    ):
        listen(Address("192.0.2.1", 0), "--tls-address")


def test_a_host_that_is_none_is_named() -> None:
    with pytest.raises(ListenError, match=r"^--grpc-address no host:1: no such host is known \("):
        listen(Address("no host", 1), "--grpc-address")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EADDRINUSE, "something else listens on this port already"),
        (errno.EACCES, "ports below 1024 are for root; choose a higher one"),
        (errno.EADDRNOTAVAIL, "this machine has no such address"),
        (errno.ENOBUFS, os.strerror(errno.ENOBUFS)),
    ],
)
def test_errors_are_said_in_words(number: int, words: str) -> None:
    assert explain(OSError(number, os.strerror(number))) == words


def test_an_error_without_words_says_what_it_is() -> None:
    assert explain(OSError("odd")) == "odd"


@contextmanager
def answering(body: bytes) -> Iterator[tuple[Address, list[str]]]:
    """Something that answers every request with `body`, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Address("127.0.0.1", server.server_port), asked
        finally:
            server.shutdown()
            thread.join()


def test_another_mizzen_says_what_it_is() -> None:
    about = {"name": "mizzen", "version": "1.2.3", "pid": 7}
    with answering(json.dumps(about).encode()) as (address, asked):
        assert other_server(address) == about
    assert asked == ["/version"]


@pytest.mark.parametrize("body", [b"{}", b'["mizzen"]', b'{"name": "other"}', b"<html>", b"\xff", b""])
def test_whatever_else_answers_is_no_mizzen(body: bytes) -> None:
    with answering(body) as (address, _):
        assert other_server(address) is None


def test_where_nobody_answers_there_is_no_mizzen() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert other_server(Address("127.0.0.1", bound.getsockname()[1])) is None
