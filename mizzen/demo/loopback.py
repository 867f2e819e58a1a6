"""A private part of the loopback network: 127.0.0.0/8 has room for every run, with the usual ports.

Each run takes a /24 of its own. So each workload has an address of its own, as a pod has, and the ports can
be those of Istio. Linux lets every user listen on the whole of 127.0.0.0/8.
"""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mizzen.demo.errors import DemoError

ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class LoopbackNetwork:
    """The /24 that begins with `prefix`, as in `127.83.12`."""

    prefix: str

    def address(self, number: int) -> str:
        """Return the address with the last part `number`, 1 to 254."""
        if not 1 <= number <= 254:
            raise ValueError(f"{number} is not a host of a /24")
        return f"{self.prefix}.{number}"


def is_free(address: str, port: int) -> bool:
    """Tell whether this address and port are free now: not if a program listens on the port at 0.0.0.0."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections of an earlier run that are still closing must not count; listeners do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def pick_network(hosts: Iterable[int], ports: Sequence[int]) -> LoopbackNetwork:
    """Return a loopback network where each of `ports` is free on each of `hosts` (last parts of addresses).

    Raises DemoError, naming the ports, if none is found.
    """
    numbers = list(hosts)
    taken: set[int] = set()
    for _ in range(ATTEMPTS):
        # 127.0 and 127.1 are left to other programs of the user.
        network = LoopbackNetwork(f"127.{random.randint(2, 254)}.{random.randint(1, 254)}")  # noqa: S311
        busy = {port for number in numbers for port in ports if not is_free(network.address(number), port)}
        if not busy:
            return network
        taken |= busy
    names = " and ".join(str(port) for port in sorted(taken))
    raise DemoError(
        f"port {names} is taken on every loopback address, so some program listens there on 0.0.0.0; "
        f"`ss -ltnp` tells which: stop it and try again"
    )


def pick_port(address: str, wanted: int, *, strict: bool) -> int:
    """Return `wanted` if it is free on `address`. Otherwise, unless `strict`, return the next of 20 that is
    free, or any free one.

    Raises DemoError if `strict` and the port is taken.
    """
    if is_free(address, wanted):
        return wanted
    if strict:
        raise DemoError(f"port {wanted} on {address} is taken: choose another with --port, or none")
    for port in range(wanted + 1, min(wanted + 20, 65536)):
        if is_free(address, port):
            return port
    return _any_free(address)


@contextmanager
def reserved_port(address: str, wanted: int) -> Iterator[int]:
    """Return `wanted` if it is free on `address`, else the next of 20 that is free, or any free one.

    Until the context ends, no other caller on this machine (in this network namespace) gets the port, even if
    no program listens on it yet. On systems other than Linux the port is not reserved.
    """
    ports = iter(range(wanted, min(wanted + 20, 65536)))
    while True:
        port = next(ports, 0) or _any_free(address)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as reservation:
            if _reserve(reservation, f"mizzen {address}:{port}") and is_free(address, port):
                yield port
                return


def _reserve(reservation: socket.socket, name: str) -> bool:
    """Tell whether the name was free; if so, the socket holds it until it is closed.

    The names of abstract sockets belong to a network namespace, as ports do, and end with their process.
    """
    if sys.platform != "linux":
        return True
    try:
        reservation.bind(f"\0{name}")
    except OSError:
        return False
    return True


def _any_free(address: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port
