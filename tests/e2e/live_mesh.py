"""A mesh for end-to-end tests: the control plane and real Envoys as processes, workloads inside the test.

    async with LiveMesh(tmp_path) as mesh:
        v1 = await mesh.workload("reviews", version="v1")
        mesh.write("routes.yaml", VIRTUAL_SERVICE)
        client = await mesh.client()
        await client.eventually("http://reviews/", lambda answer: answer.json()["version"] == "v1")

Each workload, client and gateway has a loopback address of its own, so that they can all use the same ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mizzen.demo.child_process import ChildProcess
from mizzen.demo.envoy_process import EnvoyProcess, find_envoy
from mizzen.demo.loopback import LoopbackNetwork, pick_network

SERVICE_PORT = 9080
GATEWAY_PORT = 8080
_DEADLINE = 20.0
_POLL = 0.05
Respond = Callable[[Request], Awaitable[Response]]


async def eventually(check: Callable[[], Awaitable[bool]], what: str, seconds: float = _DEADLINE) -> None:
    """Wait until `check` holds; fail with `what` if it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not await check():
                await asyncio.sleep(_POLL)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Workload:
    """An HTTP server inside the test that says who it is and what it was asked."""

    def __init__(self, name: str, labels: Mapping[str, str], address: str, port: int) -> None:
        self.name = name
        self.labels = dict(labels)
        self.address = address
        self.port = port
        self.requests: list[dict[str, Any]] = []
        self.respond: Respond | None = None
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        application = Starlette(
            routes=[Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"])]
        )
        settings = uvicorn.Config(
            application, host=self.address, port=self.port, log_level="warning", lifespan="off"
        )
        self._server = uvicorn.Server(settings)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        # pytest ends with its own signals; uvicorn must not take them over.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._task = asyncio.create_task(self._server.serve())

        async def started() -> bool:
            assert self._server is not None
            return self._server.started

        await eventually(started, f"{self.name} listens")

    async def _answer(self, request: Request) -> Response:
        seen = {
            "workload": self.name,
            "version": self.labels.get("version", ""),
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "headers": dict(request.headers),
        }
        self.requests.append(seen)
        if self.respond is not None:
            return await self.respond(request)
        return JSONResponse(seen)

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            self._server.force_exit = True
            await self._task


class Caller:
    """An Envoy and a way to send requests through it."""

    def __init__(self, envoy: EnvoyProcess, address: str, port: int, node_id: str) -> None:
        self.envoy = envoy
        self.address = address
        self.port = port
        self.node_id = node_id
        self.http = httpx.AsyncClient(timeout=10.0, trust_env=False)

    async def request(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        """Send a request for `http://host/path` to the Envoy, with the Host header that the URL says."""
        parts = httpx.URL(url)
        headers = {"host": parts.host, **arguments.pop("headers", {})}
        target = parts.copy_with(scheme="http", host=self.address, port=self.port)
        return await self.http.request(method, target, headers=headers, **arguments)

    async def get(self, url: str, **arguments: Any) -> httpx.Response:
        return await self.request("GET", url, **arguments)

    async def eventually(
        self, url: str, holds: Callable[[httpx.Response], bool], **arguments: Any
    ) -> httpx.Response:
        """Ask until the answer is as it should be; fail with the last answer."""
        last: list[str] = ["no answer"]
        found: list[httpx.Response] = []

        async def check() -> bool:
            try:
                answer = await self.get(url, **arguments)
            except httpx.TransportError as error:
                last[0] = repr(error)
                return False
            last[0] = f"{answer.status_code} {answer.text[:500]}"
            with contextlib.suppress(ValueError, KeyError):
                if holds(answer):
                    found.append(answer)
            return bool(found)

        try:
            await eventually(check, f"GET {url}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the last answer was {last[0]}") from None
        return found[0]

    async def count(
        self, url: str, times: int, key: Callable[[httpx.Response], str], **arguments: Any
    ) -> Counter[str]:
        """Send the same request many times and count the answers by `key`."""
        counts: Counter[str] = Counter()
        for _ in range(times):
            counts[key(await self.get(url, **arguments))] += 1
        return counts

    async def admin(self, path: str) -> httpx.Response:
        """Ask Envoy's admin interface."""
        return await self.http.get(f"http://{self.envoy.admin}{path}")

    async def stop(self) -> None:
        await self.http.aclose()
        await self.envoy.stop()


class LiveMesh:
    """The control plane with its folder of YAML, and everything that a test starts around it."""

    def __init__(self, directory: Path, *, delta: bool = True) -> None:
        self.directory = directory
        self.config = directory / "config"
        self.config.mkdir()
        self.delta = delta
        self.network: LoopbackNetwork = pick_network(range(1, 40), (SERVICE_PORT, GATEWAY_PORT))
        self._numbers: Iterator[int] = iter(range(2, 40))
        self.grpc = f"127.0.0.1:{free_port()}"
        self.admin = f"127.0.0.1:{free_port()}"
        self.control_plane: ChildProcess | None = None
        self.workloads: list[Workload] = []
        self.callers: list[Caller] = []
        self.http = httpx.AsyncClient(timeout=10.0, trust_env=False)

    async def __aenter__(self) -> Self:
        await self.start_control_plane()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for caller in self.callers:
            await caller.stop()
        for workload in self.workloads:
            await workload.stop()
        if self.control_plane is not None:
            await self.control_plane.stop()
        await self.http.aclose()

    async def start_control_plane(self) -> None:
        """Start `mizzen serve` at the addresses of this mesh and wait until it is ready."""
        self.control_plane = await ChildProcess.start(
            "control-plane",
            [
                *(sys.executable, "-m", "mizzen", "serve", "--config", str(self.config)),
                *("--grpc-address", self.grpc, "--admin-address", self.admin),
            ],
            log=self.directory / "control-plane.log",
        )

        async def ready() -> bool:
            assert self.control_plane is not None
            assert self.control_plane.returncode is None, self.control_plane.last_words(50)
            try:
                return (await self.http.get(f"http://{self.admin}/ready")).is_success
            except httpx.TransportError:
                return False

        await eventually(ready, "the control plane is ready")

    async def status(self) -> dict[str, Any]:
        """Return what the control plane says of its proxies and documents."""
        answer = await self.http.get(f"http://{self.admin}/status")
        answer.raise_for_status()
        status: dict[str, Any] = answer.json()
        return status

    def log(self) -> str:
        """Return what the control plane has logged."""
        return (self.directory / "control-plane.log").read_text(encoding="utf-8")

    def write(self, file: str, text: str | Mapping[str, Any] | list[Mapping[str, Any]]) -> Path:
        """Put a file into the folder of YAML, whole at once, as a careful editor does."""
        if not isinstance(text, str):
            text = yaml.safe_dump_all(text if isinstance(text, list) else [text], sort_keys=False)
        path = self.config / file
        new = self.directory / f".{file}.new"
        new.write_text(text, encoding="utf-8")
        new.rename(path)
        return path

    def remove(self, file: str) -> None:
        """Take a file out of the folder."""
        (self.config / file).unlink()

    def next_address(self) -> str:
        """Return a loopback address that nothing of this mesh uses yet."""
        return self.network.address(next(self._numbers))

    async def workload(self, app: str, *, port: int = SERVICE_PORT, **labels: str) -> Workload:
        """Start a workload, write its WorkloadEntry, and a Kubernetes Service for its app."""
        name = "-".join([app, *labels.values()])
        workload = Workload(name, {"app": app, **labels}, self.next_address(), port)
        await workload.start()
        self.workloads.append(workload)
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": app, "namespace": "default"},
            "spec": {
                "selector": {"app": app},
                "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": port}],
            },
        }
        entry = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "WorkloadEntry",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"address": workload.address, "labels": workload.labels},
        }
        self.write(f"service-{app}.yaml", service)
        self.write(f"workload-{name}.yaml", entry)
        return workload

    async def client(
        self,
        name: str = "client",
        *,
        labels: Mapping[str, str] | None = None,
        policy: str = "ALLOW_ANY",
        port: int = SERVICE_PORT,
        protocol: str = "HTTP",
    ) -> Caller:
        """Start a sidecar without a workload, whose egress listener the test sends its requests to."""
        address = self.next_address()
        labels = {"app": name, **(labels or {})}
        sidecar = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Sidecar",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "workloadSelector": {"labels": dict(labels)},
                "egress": [
                    {
                        "port": {"number": port, "protocol": protocol, "name": "egress"},
                        "bind": address,
                        "captureMode": "NONE",
                        "hosts": ["*/*"],
                    }
                ],
                "outboundTrafficPolicy": {"mode": policy},
            },
        }
        self.write(f"sidecar-{name}.yaml", sidecar)
        node_id = f"sidecar~{address}~{name}.default~default.svc.cluster.local"
        metadata = {"NAMESPACE": "default", "LABELS": dict(labels), "INTERCEPTION_MODE": "NONE"}
        return await self._envoy(name, node_id, metadata, address, port)

    async def gateway(self, name: str = "ingress", *, port: int = GATEWAY_PORT, **labels: str) -> Caller:
        """Start a gateway; its labels are `istio: ingressgateway` and those given."""
        address = self.next_address()
        node_id = f"router~{address}~{name}.default~default.svc.cluster.local"
        metadata = {"NAMESPACE": "default", "LABELS": {"istio": "ingressgateway", **labels}}
        return await self._envoy(name, node_id, metadata, address, port)

    async def _envoy(
        self, name: str, node_id: str, metadata: dict[str, Any], address: str, port: int
    ) -> Caller:
        from mizzen.translator.bootstrap import bootstrap

        admin_port = free_port()
        configuration = bootstrap(
            node={"id": node_id, "cluster": f"{name}.default", "metadata": metadata},
            xds_address=self.grpc,
            admin_address=f"127.0.0.1:{admin_port}",
            delta=self.delta,
        )
        envoy = await EnvoyProcess.start(
            name,
            json.dumps(configuration),
            admin=f"127.0.0.1:{admin_port}",
            directory=self.directory,
            binary=find_envoy(),
        )
        caller = Caller(envoy, address, port, node_id)
        self.callers.append(caller)
        await envoy.wait_ready(caller.http)
        return caller
