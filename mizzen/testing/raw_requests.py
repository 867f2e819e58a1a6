"""Requests as bytes, exactly as a call gives them: client libraries would correct paths and headers."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field

from mizzen.simulate import Call, Protocol

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _RESET, _SETTINGS, _GOAWAY = 1, 3, 4, 7
_END_STREAM, _END_HEADERS = 1, 4
_NOT_HTTP = b"\x03no-http\r\n"


@dataclass
class Answer:
    """The answer to the client; `status` is None if the connection was closed without an answer.

    Answers in HTTP/2 are not decoded: all fields stay empty.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def request(call: Call, number: int) -> bytes:
    """Return the first bytes of a call, with its number in the header `x-call`."""
    if call.protocol is Protocol.HTTP2:
        return _http2(call, number)
    if not call.protocol.is_http:
        return _NOT_HTTP
    version = "1.0" if call.protocol is Protocol.HTTP10 else "1.1"
    headers = "".join(f"{name}: {value}\r\n" for name, value in call.headers)
    return (
        f"{call.method} {call.path} HTTP/{version}\r\nhost: {call.authority}\r\nx-call: {number}\r\n"
        f"connection: close\r\n{headers}\r\n"
    ).encode()


def read(connection: socket.socket, call: Call, answer: Answer) -> None:
    """Read until the call has ended."""
    if call.protocol is Protocol.HTTP2:
        _read_http2(connection)
        return
    received = b""
    while not _is_whole(answer) and (piece := connection.recv(65536)):
        received += piece
        head, whole, answer.body = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        if whole and status.startswith("HTTP/"):
            answer.status = int(status.split(" ")[1])
            pairs = (line.partition(": ") for line in lines)
            answer.headers = {name.lower(): value for name, _, value in pairs}


def _is_whole(answer: Answer) -> bool:
    """True if the whole body is there: Envoy keeps the connection open for another second."""
    length = answer.headers.get("content-length")
    return length is not None and len(answer.body) >= int(length)


def _http2(call: Call, number: int) -> bytes:
    scheme = "https" if call.tls is not None else "http"
    fields = (
        (":method", call.method),
        (":scheme", scheme),
        (":authority", call.authority),
        (":path", call.path),
        ("x-call", str(number)),
        *((name.lower(), value) for name, value in call.headers),
    )
    # RFC 7541, section 6.2.2: a literal without indexing and without Huffman coding.
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)
    return _PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_STREAM | _END_HEADERS, 1, block)


def _text(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) < 127:
        return bytes([len(encoded)]) + encoded
    # RFC 7541, section 5.1: an integer that does not fit into seven bits.
    length, rest = [127], len(encoded) - 127
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes([*length, rest]) + encoded


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def _read_http2(connection: socket.socket) -> None:
    received = b""
    while piece := connection.recv(65536):
        received += piece
        while len(received) >= 9 and len(received) >= (size := 9 + int.from_bytes(received[:3], "big")):
            kind, flags, stream = struct.unpack("!BBI", received[3:9])
            received = received[size:]
            if kind in (_GOAWAY, _RESET) or (stream == 1 and flags & _END_STREAM and kind in (0, _HEADERS)):
                return
