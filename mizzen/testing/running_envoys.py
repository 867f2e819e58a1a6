"""Tests of a mesh with real Envoys, for tests without asyncio: everything runs in a thread of its own."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path

from mizzen.demo.envoy_process import find_envoy
from mizzen.mesh_tests import MeshUnderTest, PlacedTest, Result
from mizzen.testing.envoy_mesh import EnvoyMesh
from mizzen.testing.own_network import own_network


class RunningEnvoys:
    """The Envoys of one mesh. The thread has a network namespace of its own; the caller stays in the
    machine's.

    Raises DemoError if there is no Envoy.
    """

    def __init__(self, under_test: MeshUnderTest) -> None:
        find_envoy()
        self._under_test = under_test
        self._started: Future[tuple[asyncio.AbstractEventLoop, EnvoyMesh, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._main, name="mesh-test-envoys", daemon=True)
        self._thread.start()
        self._loop, self._envoys, self._ended = self._started.result()

    def run(self, placed: PlacedTest) -> Result:
        """Make the calls of a test; compare how they end with the expectation and with the simulator."""
        return asyncio.run_coroutine_threadsafe(self._envoys.run(placed), self._loop).result()

    def close(self) -> None:
        """Stop all Envoys."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _main(self) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="mizzen-test-") as directory, own_network():
                asyncio.run(self._serve(Path(directory)))
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self, directory: Path) -> None:
        ended = asyncio.Event()
        async with EnvoyMesh(self._under_test, directory) as envoys:
            self._started.set_result((asyncio.get_running_loop(), envoys, ended))
            await ended.wait()
