"""Encodes responses, parses requests, and finds fields in encoded messages.

Requests are small, and protobuf parses them. Responses are large, and most of their bytes are the same for
every client, so they are joined from pieces that were encoded before. Protobuf's wire format allows that:
the fields of a message are written one after the other, and a sub-message is a key, a length and its bytes
(https://protobuf.dev/programming-guides/encoding/).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

Node = Any
"""An `envoy.config.core.v3.Node` (the package with Envoy's messages has no type annotations)."""


class BadRequest(ValueError):  # noqa: N818 - the status that it becomes
    """A request that breaks the protocol; the server ends the stream with INVALID_ARGUMENT and this text."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """Why a client rejects a response: the `error_detail` of a NACK."""

    code: int
    message: str


class SotwRequest(NamedTuple):
    """A `DiscoveryRequest`: a request of the state-of-the-world variants.

    `names` is the whole list of names to which the client is subscribed now.
    """

    type_url: str
    names: Collection[str] = ()
    version: str = ""
    nonce: str = ""
    error: ErrorDetail | None = None
    node: Node = None


class DeltaRequest(NamedTuple):
    """A `DeltaDiscoveryRequest`: a request of the incremental variants, relative to the requests before."""

    type_url: str
    subscribe: Collection[str] = ()
    unsubscribe: Collection[str] = ()
    initial_versions: Mapping[str, str] = MappingProxyType({})
    nonce: str = ""
    error: ErrorDetail | None = None
    node: Node = None


Request = SotwRequest | DeltaRequest


_LONGEST_ERROR: Final = 32_768
"""Most characters of a client's error message that are stored."""


def _error(message: Any) -> ErrorDetail | None:
    if not message.HasField("error_detail"):
        return None
    text = message.error_detail.message
    if len(text) > _LONGEST_ERROR:
        text = f"{text[:_LONGEST_ERROR]}... ({len(text)} characters)"
    return ErrorDetail(message.error_detail.code, text)


def _decoded(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        name = kind.DESCRIPTOR.name
        raise BadRequest(f"cannot decode a {name} from {len(data)} bytes: {error}") from None


def parse_sotw(data: bytes) -> SotwRequest:
    """Read a `DiscoveryRequest`.

    Raises:
        BadRequest: the bytes are not a `DiscoveryRequest`.
    """
    message = _decoded(discovery_pb2.DiscoveryRequest, data)
    return SotwRequest(
        message.type_url,
        tuple(message.resource_names),
        message.version_info,
        message.response_nonce,
        _error(message),
        message.node if message.HasField("node") else None,
    )


def parse_delta(data: bytes) -> DeltaRequest:
    """Read a `DeltaDiscoveryRequest`.

    Raises:
        BadRequest: the bytes are not a `DeltaDiscoveryRequest`.
    """
    message = _decoded(discovery_pb2.DeltaDiscoveryRequest, data)
    return DeltaRequest(
        message.type_url,
        tuple(message.resource_names_subscribe),
        tuple(message.resource_names_unsubscribe),
        dict(message.initial_resource_versions),
        message.response_nonce,
        _error(message),
        message.node if message.HasField("node") else None,
    )


_REMEMBERED: Final = 16
_LONGEST_REMEMBERED: Final = 65_536
"""Most bytes of a request that is cached."""


class Reader:
    """Parses requests with `parse`, and caches the last ones.

    Clients with the same resources send the same requests, byte for byte: when all of them accept a response,
    and when all of them come back.
    """

    def __init__(self, parse: Callable[[bytes], Request]) -> None:
        self._parse = parse
        self._recent: dict[bytes, Request] = {}

    def __call__(self, data: bytes) -> Request:
        """The parsed request.

        Raises:
            BadRequest: the bytes are not a request.
        """
        found = self._recent.get(data)
        if found is None:
            found = self._parse(data)
            if found.node is None and len(data) <= _LONGEST_REMEMBERED:
                if len(self._recent) >= _REMEMBERED:
                    del self._recent[next(iter(self._recent))]
                self._recent[data] = found
        return found


def varint(number: int) -> bytes:
    """A non-negative number in protobuf's base-128 form."""
    return _SHORT[number] if number < _TABLE else _varint(number)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_TABLE: Final = 4096
_SHORT: Final = tuple(map(_varint, range(_TABLE)))
"""Most keys and lengths, computed once because ten thousands of resources need them."""


def length_delimited(number: int, *pieces: bytes) -> bytes:
    """Field `number` of a length-delimited type (bytes, string, message), with the joined pieces as value."""
    size = sum(map(len, pieces))
    return b"".join((varint(number << 3 | _LENGTH_DELIMITED), varint(size), *pieces))


def string(number: int, text: str) -> bytes:
    """A string field; no bytes for the empty string, as in proto3."""
    return length_delimited(number, text.encode()) if text else b""


def duration(number: int, value: timedelta) -> bytes:
    """A `google.protobuf.Duration` field; `value` must not be negative."""
    seconds = value.days * 86_400 + value.seconds
    nanos = value.microseconds * 1000
    body = (b"\x08" + varint(seconds) if seconds else b"") + (b"\x10" + varint(nanos) if nanos else b"")
    return length_delimited(number, body)


def any_message(type_url: str, value: bytes) -> bytes:
    """The bytes of a `google.protobuf.Any`."""
    return string(1, type_url) + length_delimited(2, value)


_LENGTH_DELIMITED: Final = 2
_BLOCK: Final = 4096
"""Bytes compared at once: two large messages have most of their bytes in common."""


def replaced_fields(old: bytes, new: bytes, number: int) -> tuple[bytes, bytes]:
    """Return the fields of that number that only the old message has, and those that only the new one has."""
    begin, end = _same_ends(old, new)
    before, after = fields(old, number, begin, end), fields(new, number, begin, end)
    known, wanted = set(before), set(after)
    gone = b"".join([field for field in before if field not in wanted])
    return gone, b"".join([field for field in after if field not in known]) if gone else b""


def _same_ends(old: bytes, new: bytes) -> tuple[int, int]:
    """Return how many bytes two messages have in common at the beginning and at the end. The numbers may be
    somewhat too small.
    """
    shorter = min(len(old), len(new))
    begin = 0
    while begin < shorter and old[begin : begin + _BLOCK] == new[begin : begin + _BLOCK]:
        begin += _BLOCK
    end = 0
    while begin + end + _BLOCK <= shorter and (
        old[len(old) - end - _BLOCK : len(old) - end] == new[len(new) - end - _BLOCK : len(new) - end]
    ):
        end += _BLOCK
    return min(begin, shorter), end


def fields(message: bytes, number: int, begin: int = 0, end: int = 0) -> list[bytes]:
    """Return the fields of that number, each with its key and length, from an encoded message. Fields that
    lie wholly in the first `begin` or the last `end` bytes are left out."""
    found = []
    start, stop = 0, len(message) - end
    while start < stop:
        key, at = message[start], start + 1
        if key >= 0x80:
            key, at = _read_varint(message, start)
        kind = key & 7
        if kind == _LENGTH_DELIMITED:
            size = message[at]
            at += 1
            if size >= 0x80:
                size, at = _read_varint(message, at - 1)
            at += size
        elif kind == 0:
            _, at = _read_varint(message, at)
        else:
            at += 8 if kind == 1 else 4
        if at > begin and key >> 3 == number:
            found.append(message[start:at])
        start = at
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number at this index, and the index of the byte after it."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


# Numbers of the fields of DiscoveryResponse, DeltaDiscoveryResponse and Resource in
# envoy/service/discovery/v3/discovery.proto.
RESPONSE_VERSION: Final = 1
RESPONSE_RESOURCES: Final = 2
RESPONSE_TYPE_URL: Final = 4
RESPONSE_NONCE: Final = 5
DELTA_REMOVED: Final = 6
SOTW_CONTROL_PLANE: Final = 6
DELTA_CONTROL_PLANE: Final = 7
RESOURCE_VERSION: Final = 1
RESOURCE_BODY: Final = 2
RESOURCE_NAME: Final = 3
RESOURCE_ALIASES: Final = 4
RESOURCE_TTL: Final = 6
