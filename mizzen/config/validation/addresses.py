"""Addresses: of IP, in CIDR notation, and of Unix domain sockets."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

UNIX_PREFIX: Final = "unix://"
_PREFIX_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,2}")


def is_ip_address(text: str) -> bool:
    """Tell whether `text` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def ip_address_problem(text: str) -> str | None:
    """`text` must be an IPv4 or IPv6 address."""
    if is_ip_address(text):
        return None
    return f'"{text}" is not an IP address; write one such as 10.0.0.7 or 2001:db8::7'


def ip_subnet_problem(text: str) -> str | None:
    """`text` must be an IP address or a block of them in CIDR notation."""
    if "/" not in text:
        return ip_address_problem(text)
    address, _, length = text.partition("/")
    if is_ip_address(address) and "%" not in address and _PREFIX_LENGTH.fullmatch(length):
        longest = ipaddress.ip_address(address).max_prefixlen
        if int(length) <= longest:
            return None
    return f'"{text}" is not a CIDR block; write one such as 10.0.0.0/8'


def unix_address_problem(address: str) -> str | None:
    """`address`, a unix:// one, must name a socket: an absolute path, or @ and an abstract name."""
    path = address.removeprefix(UNIX_PREFIX)
    if path.startswith("@") or (path.startswith("/") and not path.endswith("/")):
        return None
    return (
        f'"{address}" names no socket; write unix:// and an absolute path to a file, or unix://@ and a name'
    )
