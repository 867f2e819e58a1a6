"""The field of an attack: a control plane, two Envoys with steady requests, and files to change.

The sidecar speaks delta xDS, the gateway state of the world. Both send requests for `reviews` to the servers
blue or green, and both answer requests for `marker` by themselves with the number of the last change.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from mizzen.demo.child_process import ChildProcess
from mizzen.demo.envoy_process import EnvoyProcess
from mizzen.testing.waiting import eventually
from mizzen.translator.bootstrap import bootstrap
from tests.chaos import mesh, sandbox
from tests.chaos.load import Connection, Load, serve_name
from tests.chaos.record import Record

GRPC = f"{sandbox.XDS_THERE}:15010"
ADMIN = f"{sandbox.ADMIN_THERE}:15014"
START = 30.0
"""Longest time for a process to start, on a busy machine."""
BOUND = 10.0
"""Longest time from a change to its effect, while nothing keeps the control plane from it."""
_POLL = 0.005


class Field:
    """All that runs for one attack. `seconds` is how long the attack goes on."""

    def __init__(self, directory: Path, seconds: float, arguments: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.config = directory / "config"
        self.state = directory / "state"
        self.record = Record()
        self.load = Load(tuple(mesh.target(name, "reviews") for name in mesh.PROXIES))
        self.arguments = tuple(each.replace("{state}", str(self.state)) for each in arguments)
        self.control_plane: ChildProcess | None = None
        self.envoys: dict[str, EnvoyProcess] = {}
        self.number = 0
        self._seconds = seconds
        self._end = 0.0
        self._servers: list[asyncio.Server] = []
        self._mounted: list[Path] = []
        self._http = httpx.AsyncClient(timeout=BOUND, trust_env=False)
        self.config.mkdir(parents=True)
        for file, text in mesh.files().items():
            self.write(file, text)

    async def __aenter__(self) -> Self:
        for name, address in mesh.SERVERS.items():
            self._servers.append(await serve_name(name, address, mesh.PORT))
        try:
            await self.start_control_plane()
            for name in mesh.PROXIES:
                await self.start_envoy(name)
            await self.change(START)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self.record.waits.clear()
        self._end = time.monotonic() + self._seconds
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for envoy in self.envoys.values():
            await envoy.child.stop(grace=0)
        if self.control_plane is not None:
            await self.control_plane.stop(grace=0)
        for server in self._servers:
            server.close()
        for place in self._mounted:
            sandbox.run("umount", "--lazy", str(place))
        await self._http.aclose()

    def goes_on(self) -> bool:
        """Tell whether there is time for one more round."""
        return self.left() > 0

    def left(self) -> float:
        """Return the seconds that are left for the attack."""
        return self._end - time.monotonic()

    def note_who_ended(self) -> None:
        """Note a fault for each process that is not running and should be."""
        children = [envoy.child for envoy in self.envoys.values()]
        if self.control_plane is not None:
            children.append(self.control_plane)
        for child in children:
            if child.returncode is not None:
                self.record.fault(str(child.ended()).splitlines()[0])

    # The control plane

    async def start_control_plane(self, *, wait: bool = True) -> None:
        """Start `mizzen serve`; wait until it serves proxies, or do not."""
        self.control_plane = await ChildProcess.start(
            "control-plane",
            sandbox.in_plane(
                *(sys.executable, "-m", "mizzen", "serve", "--config", self.config),
                *("--grpc-address", GRPC, "--admin-address", ADMIN, *self.arguments),
            ),
            log=self.directory / "control-plane.log",
        )
        if wait:
            await eventually(self.ready, "the control plane is ready", START)

    async def ready(self) -> bool:
        """Tell whether the control plane serves proxies; fail if it has ended."""
        assert self.control_plane is not None
        assert self.control_plane.returncode is None, self.control_plane.ended()
        with contextlib.suppress(httpx.TransportError):
            return (await self._http.get(f"http://{ADMIN}/ready")).is_success
        return False

    async def answers(self) -> bool:
        """Tell whether the admin address answers, ready or not."""
        with contextlib.suppress(httpx.TransportError):
            return (await self._http.get(f"http://{ADMIN}/version")).is_success
        return False

    async def kill_control_plane(self) -> None:
        """kill -9, and wait for its end."""
        assert self.control_plane is not None
        await kill(self.control_plane)
        self.control_plane = None

    def signal_control_plane(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.control_plane is not None
        assert self.control_plane.returncode is None, self.control_plane.ended()
        os.kill(self.control_plane.pid, number)

    async def status(self) -> dict[str, Any]:
        """Return what the control plane says of itself."""
        answer = await self._http.get(f"http://{ADMIN}/status")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def log(self) -> str:
        """Return what the control plane has logged, in all its lives."""
        return (self.directory / "control-plane.log").read_text(encoding="utf-8", errors="replace")

    def mount(self, place: Path, *what: str) -> None:
        """Mount something (arguments of `mount`) until the end of the attack."""
        sandbox.run("mount", *what, str(place))
        self._mounted.append(place)

    # The Envoys

    async def start_envoy(self, name: str) -> None:
        """Start the `sidecar`, the `gateway` or the `captured` one, and wait until it is ready."""
        proxy = mesh.CAPTURED if name == "captured" else mesh.PROXIES[name]
        admin = f"127.0.0.1:{proxy.admin_port}"
        configuration = bootstrap(
            node=proxy.node, xds_address=GRPC, admin_address=admin, delta=proxy.delta, stats="full"
        )
        envoy = await EnvoyProcess.start(
            name, json.dumps(configuration), admin=admin, directory=self.directory
        )
        self.envoys[name] = envoy
        await envoy.wait_ready(self._http, START)

    async def kill_envoy(self, name: str) -> None:
        """kill -9, and wait for its end."""
        await kill(self.envoys.pop(name).child)

    # Changes

    def write(self, file: str, text: str) -> None:
        """Put a file into the folder, whole at once, as a careful editor does."""
        new = self.config / f".{file}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(self.config / file)

    def write_change(self) -> int:
        """Save the next number in the file of the marker; return it."""
        self.number += 1
        self.write("marker.yaml", mesh.marker(self.number))
        return self.number

    async def change(self, bound: float = BOUND) -> float:
        """Save a change and wait until it is in force; return the seconds that took."""
        began = time.monotonic()
        self.write_change()
        return await self.in_force(began, bound)

    async def in_force(self, since: float, bound: float = BOUND) -> float:
        """Wait until every Envoy answers with the last number; return the seconds since `since`.

        AssertionError after `bound` seconds more than now.
        """
        try:
            async with asyncio.timeout(bound):
                await asyncio.gather(*(self._answers_number(name) for name in mesh.PROXIES))
        except TimeoutError:
            answers = [await self.marker(name) for name in mesh.PROXIES]
            raise AssertionError(
                f"change {self.number} is not in force after {time.monotonic() - since:.1f} s; "
                f"the Envoys answer {answers}"
            ) from None
        seconds = time.monotonic() - since
        self.record.waited(seconds)
        return seconds

    async def _answers_number(self, name: str) -> None:
        connection = Connection(mesh.target(name, "marker"))
        while (await connection.get()).body != mesh.label(self.number):
            await asyncio.sleep(_POLL)
        connection.close()

    async def marker(self, name: str) -> str:
        """Return what an Envoy answers to a request for the marker."""
        answer = await Connection(mesh.target(name, "marker")).get(close=True)
        return answer.body if answer.status == 200 else f"{answer.status} {answer.body}"

    @contextlib.asynccontextmanager
    async def changing(self, every: float) -> AsyncIterator[None]:
        """Save a change after the other while the block runs, and wait for none."""

        async def go_on() -> None:
            while True:
                self.write_change()
                self.record.did("changes")
                await asyncio.sleep(every)

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def kill(child: ChildProcess) -> None:
    """kill -9 a child, and wait for its end."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    await child.wait()
