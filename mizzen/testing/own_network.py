"""A network namespace for one test, with only loopback.

On a machine that translates addresses (Docker's iptables rules are enough), the kernel gives Envoy's
original_dst filter a destination for every connection, which hides the one in a test's PROXY protocol.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """Move this thread, and the processes that it starts, into a new namespace until the block ends.

    Does nothing for users without the permission: then the machine must not translate addresses.
    """
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            yield
            return
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            if _libc.setns(before, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "the test cannot return to the network of the machine")
    finally:
        os.close(before)
