"""A live mesh for tests without asyncio: everything runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from mizzen.explain.question import method_and_url
from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.workloads import Workload

Value = TypeVar("Value")


class RunningCaller:
    """A real Envoy, and requests through it."""

    def __init__(self, caller: Caller, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self.caller = caller
        self._run = run

    def request(self, request: str, **arguments: Any) -> httpx.Response:
        """Send `GET http://reviews/path` through the Envoy (GET may be left out) and return the answer.

        Other arguments are those of httpx. Raises httpx.TransportError if the Envoy closes the connection.
        """
        method, url = method_and_url(request)
        answer: httpx.Response = self._run(self.caller.request(method, url, **arguments))
        return answer

    def count(self, url: str, times: int, key: Callable[[httpx.Response], str]) -> Counter[str]:
        """Send a GET request many times, and count the answers by `key`."""
        counts: Counter[str] = self._run(self.caller.count(url, times, key))
        return counts


class RunningMesh:
    """`mizzen serve` and everything around it. `live` is the same mesh for tests with asyncio."""

    def __init__(self, directory: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="live-mesh", daemon=True)
        self.live: LiveMesh = LiveMesh(directory, arguments=("--state", str(directory / "state")))

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._run(self.live.__aenter__())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._run(self.live.__aexit__(kind, error, trace))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def workload(self, app: str, **labels: str) -> Workload:
        """Start an HTTP server that returns its name and the request. Its labels are `app` and those given.

        Its WorkloadEntry, and a Service for its app, are written to the folder that is served.
        """
        workload: Workload = self._run(self.live.workload(app, port=0, **labels))
        return workload

    def client(self, name: str = "client") -> RunningCaller:
        """Start the sidecar of a client."""
        return RunningCaller(self._run(self.live.client(name)), self._run)

    def gateway(self, name: str = "ingress") -> RunningCaller:
        """Start a gateway with the label `istio: ingressgateway`."""
        return RunningCaller(self._run(self.live.gateway(name)), self._run)

    def apply(self, file: str, text: str | Mapping[str, Any] | list[Mapping[str, Any]]) -> None:
        """Put YAML into the folder that is served, and wait until every proxy has applied it."""
        self._run(self.live.apply(file, text))

    def status(self) -> dict[str, Any]:
        """Return the control plane's status of its proxies and documents."""
        status: dict[str, Any] = self._run(self.live.status())
        return status

    def _run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
