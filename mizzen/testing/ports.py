"""Ports for tests: no other process gets a port between its choice and its use.

When a port chosen by the kernel is closed, the kernel may give it to the next caller, in a different test
process or for an outgoing connection. So these ports are outside the kernel's range. They come in blocks.
Each block is reserved by a name that only one process at a time can have, until that process ends.
"""

from __future__ import annotations

import contextlib
import errno
import random
import socket
from collections.abc import Iterator
from pathlib import Path

_LOWEST = 20_000
_BLOCK = 100
_RESERVED: list[socket.socket] = []


def _range() -> range:
    """Return the ports between those that tests write down and those that the kernel chooses from."""
    try:
        words = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    except OSError:
        words = ["32768", "60999"]  # the kernel's default
    first, last = int(words[0]), int(words[1])
    below, above = range(_LOWEST, first), range(max(last + 1, _LOWEST), 65_536)
    widest = max(below, above, key=len)
    return widest if len(widest) >= 1_000 else range(_LOWEST, 65_536)


def reserve(name: str) -> bool:
    """Reserve a name until this process ends; return False if a process of this machine has it already.

    The name is that of a Unix socket without a file (`man 7 unix`, abstract), so the kernel frees it however
    the process ends.
    """
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        holder.bind(f"\0mizzen-tests-{name}")
    except OSError as error:
        holder.close()
        return error.errno != errno.EADDRINUSE  # systems without such names reserve nothing
    _RESERVED.append(holder)
    return True


def _is_free(family: socket.AddressFamily, kind: socket.SocketKind, port: int) -> bool:
    address = "::1" if family is socket.AF_INET6 else "127.0.0.1"
    with contextlib.suppress(OSError), socket.socket(family, kind) as probe:
        probe.bind((address, port))
        return True
    return False


def _candidates() -> Iterator[int]:
    """Yield each port once, block by block, of the blocks that this process could reserve."""
    ports = _range()
    blocks = list(range(ports.start, ports.stop - _BLOCK + 1, _BLOCK))
    # A generator of its own: hypothesis seeds the shared one, and then all workers would try the same ports.
    random.SystemRandom().shuffle(blocks)
    for start in blocks:
        if reserve(f"ports-{start}"):
            yield from range(start, start + _BLOCK)


_PORTS = _candidates()


def free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    """Return a port of the loopback address, 127.0.0.1 or ::1, for TCP and UDP; no other test gets it."""
    for port in _PORTS:
        if all(_is_free(family, kind, port) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return port
    raise AssertionError("no port is free")


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` such ports."""
    return tuple(free_port() for _ in range(count))
