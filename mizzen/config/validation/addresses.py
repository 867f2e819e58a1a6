"""Addresses: IP addresses, CIDR blocks, Unix domain sockets, and paths of files."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

UNIX_PREFIX: Final = "unix://"
_LONGEST_SOCKET: Final = 107
"""Maximum bytes of a socket's path: Linux has 108, of which the last is zero (man 7 unix)."""
_LONGEST_PATH: Final = 4095
_LONGEST_NAME: Final = 255
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_PREFIX_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,2}")


def is_ip_address(text: str) -> bool:
    """Tell whether `text` is an IPv4 or IPv6 address. False for one with a zone (`fe80::1%eth0`): a zone has
    a meaning on one machine only, and Envoy rejects it where that interface does not exist."""
    if ":" not in text:
        return _IPV4.fullmatch(text) is not None  # asked of each name and address; in a tenth of the time
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def ip_address_problem(text: str) -> str | None:
    """`text` must be an IPv4 or IPv6 address."""
    if is_ip_address(text):
        return None
    zone = ", without a zone," if "%" in text else ""
    return f'"{text}" is not an IP address; write one{zone} such as 10.0.0.7 or 2001:db8::7'


def ip_subnet_problem(text: str) -> str | None:
    """`text` must be an IP address or a CIDR block."""
    if "/" not in text:
        return ip_address_problem(text)
    address, _, length = text.partition("/")
    if is_ip_address(address) and _PREFIX_LENGTH.fullmatch(length):
        longest = ipaddress.ip_address(address).max_prefixlen
        if int(length) <= longest:
            return None
    return f'"{text}" is not a CIDR block; write one such as 10.0.0.0/8'


def file_path_problem(path: str) -> str | None:
    """`path` must be a file path that Linux can open (man 7 path_resolution), or ""."""
    if "\0" in path:
        return "the path has a NUL character; leave it out"
    if path and path.rpartition("/")[2] in ("", ".", ".."):
        return f'"{path}" is a folder; write the path of a file'
    if len(path.encode()) > _LONGEST_PATH or any(
        len(part.encode()) > _LONGEST_NAME for part in path.split("/")
    ):
        return (
            f"the path is too long; at most {_LONGEST_PATH} bytes are possible, "
            f"{_LONGEST_NAME} between two slashes"
        )
    return None


def unix_address_problem(address: str) -> str | None:
    """`address` begins with unix:// and must name a socket: an absolute path, or @ and an abstract name."""
    path = address.removeprefix(UNIX_PREFIX)
    if len(path.encode()) > _LONGEST_SOCKET:
        return f"the path of the socket is too long; at most {_LONGEST_SOCKET} bytes are possible"
    if "\0" in path:
        return "the path of the socket has a NUL character; leave it out"
    if path.startswith("@") or (path.startswith("/") and not path.endswith("/")):
        return None
    return (
        f'"{address}" names no socket; write unix:// and an absolute path to a file, or unix://@ and a name'
    )
