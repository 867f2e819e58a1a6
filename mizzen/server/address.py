"""Addresses to listen on, as the command line writes them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port: `127.0.0.1:15010`, `[::1]:15010`, `:15010` (every interface). Port 0: a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, example: str = "127.0.0.1:15010") -> Address:
        """Read `HOST:PORT`. Raises ValueError for anything else; its text gives an `example`."""
        host, colon, port = text.strip().rpartition(":")
        if not colon:
            raise ValueError(f"{text!r} is not an address; write HOST:PORT, for example {example}")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r} is not an address; put an IPv6 address into brackets, as [::1]:15010")
        if not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} has no port from 0 to 65535; write HOST:PORT, for example {example}")
        return cls(host or "0.0.0.0", int(port))  # noqa: S104 (an empty host asks for every interface)

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach the address; a name other than `localhost` counts as
        reachable."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_every_interface(self) -> bool:
        """True if the address stands for every interface, such as 0.0.0.0."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    def with_port(self, port: int) -> Address:
        """Return the same host with this port."""
        return Address(self.host, port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
