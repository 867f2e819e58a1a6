"""Ports: numbers, names and protocols."""

from __future__ import annotations

from mizzen.config.models.protocol import Protocol
from mizzen.config.validation.hosts import dns_label_problem

_KNOWN = ", ".join(protocol.upper() for protocol in Protocol if protocol is not Protocol.UNSUPPORTED)


def port_number_problem(number: int) -> str | None:
    """`number` must be a TCP port."""
    if 1 <= number <= 65535:
        return None
    return f"{number} is not a port number; write 1 to 65535"


def port_name_problem(name: str) -> str | None:
    """`name` must be a DNS label."""
    if not name:
        return "the port has no name; write one, such as http"
    return dns_label_problem(name, "port name")


def protocol_problem(protocol: str) -> str | None:
    """`protocol` must be known, or empty (it is then detected from the traffic)."""
    if not protocol or not Protocol.parse(protocol).is_auto:
        return None
    return f'"{protocol}" is not a known protocol; write one of {_KNOWN}, or leave it out'


def required_protocol_problem(protocol: str) -> str | None:
    """`protocol` must be known; a gateway cannot detect it."""
    if not protocol:
        return f"the port has no protocol; write one of {_KNOWN}"
    if Protocol.parse(protocol).is_auto:
        return f'"{protocol}" is not a known protocol; write one of {_KNOWN}'
    return None
