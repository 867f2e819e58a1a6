"""Ports for tests: nobody takes them between the moment when they are chosen and the one when they are used.

A port that the kernel gave and got back it may give to the next who asks, in another process of the tests or
for a connection that goes out. These lie where the kernel chooses none by itself. They come in blocks; each
block is held by a name that one process at a time can have, for as long as the process lives.
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
_HELD: list[socket.socket] = []


def _range() -> range:
    """Return the ports between those that tests write down and those that the kernel chooses from."""
    try:
        words = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    except OSError:
        words = ["32768", "60999"]  # what Linux begins with
    first, last = int(words[0]), int(words[1])
    below, above = range(_LOWEST, first), range(max(last + 1, _LOWEST), 65_536)
    widest = max(below, above, key=len)
    return widest if len(widest) >= 1_000 else range(_LOWEST, 65_536)


def hold(name: str) -> bool:
    """Take a name for the life of this process; return False if some process of this machine has it.

    It is that of a Unix socket without a file (`man 7 unix`, abstract), so the kernel gives it back however
    the process ends.
    """
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        holder.bind(f"\0mizzen-tests-{name}")
    except OSError as error:
        holder.close()
        return error.errno != errno.EADDRINUSE  # where there are no such names, luck must do
    _HELD.append(holder)
    return True


def _is_free(family: socket.AddressFamily, kind: socket.SocketKind, port: int) -> bool:
    address = "::1" if family is socket.AF_INET6 else "127.0.0.1"
    with contextlib.suppress(OSError), socket.socket(family, kind) as probe:
        probe.bind((address, port))
        return True
    return False


def _candidates() -> Iterator[int]:
    """Yield the ports of one block after the other that this process could get for itself, each once."""
    ports = _range()
    blocks = list(range(ports.start, ports.stop - _BLOCK + 1, _BLOCK))
    # Not the generator that tests share: hypothesis seeds that one, and all workers would try the same ports.
    random.SystemRandom().shuffle(blocks)
    for start in blocks:
        if hold(f"ports-{start}"):
            yield from range(start, start + _BLOCK)


_PORTS = _candidates()


def free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    """Return a port of the loopback address, 127.0.0.1 or ::1, for TCP and UDP; no other test gets it."""
    for port in _PORTS:
        if all(_is_free(family, kind, port) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return port
    raise AssertionError("no port is free")


def free_ports(count: int) -> tuple[int, ...]:
    """Return so many of them."""
    return tuple(free_port() for _ in range(count))
