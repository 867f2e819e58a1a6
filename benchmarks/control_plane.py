"""`mizzen serve` in a process of its own, whose processor time and memory can be read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from mizzen.demo.child_process import ChildProcess

_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Serving:
    """A running control plane."""

    grpc: str
    admin: str
    pid: int

    def processor_seconds(self) -> float:
        """The processor time of the process until now, to the nearest hundredth of a second."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_bytes(self) -> int:
        """What the process holds in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.asynccontextmanager
async def serving(config: Path, ready_seconds: float = 180.0) -> AsyncIterator[Serving]:
    """Run `mizzen serve` on a folder until the end of the block."""
    grpc, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="mizzen-bench-") as directory:
        command = [sys.executable, "-m", "mizzen", "serve", "--config", str(config)]
        command += ["--grpc-address", grpc, "--admin-address", admin]
        child = await ChildProcess.start("control-plane", command, log=Path(directory) / "log")
        try:
            async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(ready_seconds):
                while True:
                    if child.returncode is not None:
                        raise child.ended()
                    with contextlib.suppress(httpx.TransportError):
                        if (await client.get(f"http://{admin}/ready")).is_success:
                            break
                    await asyncio.sleep(0.05)
            yield Serving(grpc, admin, child.pid)
        finally:
            await child.stop()
