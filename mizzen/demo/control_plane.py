"""The control plane as a child process, and whether it is ready."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from mizzen.demo.child_process import ChildProcess
from mizzen.demo.errors import DemoError
from mizzen.demo.topology import Topology

POLL_SECONDS = 0.05
READY_SECONDS = 60.0


class ControlPlane:
    """One running `mizzen serve`."""

    def __init__(self, child: ChildProcess, admin: str) -> None:
        self.child = child
        self.admin = admin

    @classmethod
    async def start(
        cls, topology: Topology, configuration: Sequence[Path], log: Path, state: Path
    ) -> ControlPlane:
        """Start the control plane with the YAML of `configuration`; it may not be ready yet.

        It keeps a certificate authority in `state`, and issues the certificates of the proxies.
        """
        command: list[str | Path] = [sys.executable, "-m", "mizzen", "serve"]
        for path in configuration:
            command += ["--config", path]
        command += ["--grpc-address", topology.xds_address, "--admin-address", topology.control_plane_admin]
        command += ["--state", state]
        child = await ChildProcess.start("control-plane", command, log=log)
        return cls(child, topology.control_plane_admin)

    async def wait_ready(self, client: httpx.AsyncClient) -> None:
        """Wait until the control plane serves. Raises DemoError if it ends, or is not ready in time."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await self._is_ready(client):
                    if self.child.returncode is not None:
                        raise self.child.ended()
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise DemoError(
                f"the control plane is not ready after {READY_SECONDS:g} s; "
                f"its log {self.child.log} ends so:\n{self.child.last_words()}"
            ) from error

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"http://{self.admin}/ready")).is_success
        except httpx.TransportError:
            return False
