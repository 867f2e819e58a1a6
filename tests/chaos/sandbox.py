"""Namespaces for the whole run: nothing that happens in them is left behind, however the run ends.

The run gets a network, mounts and process ids of its own from `unshare`. When its first process ends, even by
kill -9, the kernel ends every process there and drops the links and mounts.

The control plane runs in a second network, the plane. Two links lead there: `xds`, which attacks disturb, and
`admin`, over which the run asks for the status meanwhile.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from mizzen.demo.child_process import die_with

PLANE = "plane"
XDS_HERE, XDS_THERE = "10.77.0.1", "10.77.0.2"
ADMIN_HERE, ADMIN_THERE = "10.78.0.1", "10.78.0.2"
WORK = Path("/run/chaos")
"""Files of the run, on a tmpfs that only the sandbox sees."""
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_SECONDS_TO_END = 30


def why_not() -> str:
    """Return why the sandbox cannot be had here; empty if it can."""
    if os.geteuid() != 0:
        return "needs root, for namespaces of its own: try sudo"
    for program in ("unshare", "nsenter", "setpriv", "mount", "umount", "ip", "iptables", "tc"):
        if shutil.which(program) is None:
            return f"needs the program {program}"
    tried = subprocess.run(
        [*_UNSHARE, "sh", "-c", "mount -t tmpfs tmpfs /run && ip netns add try && iptables -w -S"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"cannot make namespaces: {tried.stderr.strip()}" if tried.returncode else ""


def run_inside(module: str, arguments: Sequence[str]) -> int:
    """Run `python -m module` in the sandbox and return its exit code.

    A Ctrl-C reaches it by the terminal, and it ends by itself. Whatever else ends us ends it too.
    """
    process = subprocess.Popen(
        [*_UNSHARE, sys.executable, "-m", module, *arguments],
        preexec_fn=die_with(os.getpid()),
    )

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    try:
        try:
            return process.wait()
        except KeyboardInterrupt:
            return process.wait(_SECONDS_TO_END)
    finally:
        process.kill()
        process.wait()


def run(*command: str) -> None:
    """Run a short command; RuntimeError with its words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def prepare() -> None:
    """Make the work directory and the two networks; to be called once, inside."""
    # Names of networks are files in /run. Nobody outside sees this one.
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    WORK.mkdir()
    run("ip", "netns", "add", PLANE)
    run("ip", "link", "set", "lo", "up")
    run("ip", "-n", PLANE, "link", "set", "lo", "up")
    for link, here, there in (("xds", XDS_HERE, XDS_THERE), ("admin", ADMIN_HERE, ADMIN_THERE)):
        run("ip", "link", "add", link, "type", "veth", "peer", "name", link, "netns", PLANE)
        run("ip", "address", "add", f"{here}/24", "dev", link)
        run("ip", "-n", PLANE, "address", "add", f"{there}/24", "dev", link)
        run("ip", "link", "set", link, "up")
        run("ip", "-n", PLANE, "link", "set", link, "up")


def in_plane(*command: str | Path) -> list[str | Path]:
    """Return the command that runs `command` in the plane's network, as the same process.

    It runs as root, but without root's right to read what a file's mode forbids, if it can run so.
    """
    # Not `ip netns exec`, which gives its program mounts of its own: those of the run are attacked too.
    prefix = ["nsenter", f"--net=/run/netns/{PLANE}"]
    return [*prefix, *(_OBEYS_MODES if obeys_modes() else ()), *command]


_OBEYS_MODES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@functools.cache
def obeys_modes() -> bool:
    """Tell whether Mizzen can be run without the right to read every file: not from another's home."""
    tried = subprocess.run(
        [*_OBEYS_MODES, sys.executable, "-c", "import mizzen.cli.main"], capture_output=True, check=False
    )
    return tried.returncode == 0
