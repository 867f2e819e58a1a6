"""The running shop: the control plane, the programs, an Envoy beside each, and one as the ingress."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from mizzen.demo.child_process import ChildProcess
from mizzen.demo.control_plane import ControlPlane
from mizzen.demo.envoy_process import EnvoyProcess, find_envoy
from mizzen.demo.errors import DemoError, first_error_alone
from mizzen.demo.loopback import pick_network, pick_port
from mizzen.demo.options import DemoOptions
from mizzen.demo.part import Launch, Part
from mizzen.demo.security import TokenIssuer, security_yaml
from mizzen.demo.topology import (
    ADMIN_PORT,
    GATEWAY_NAME,
    GATEWAY_PORT,
    HOSTS,
    PORTS,
    Topology,
    Workload,
    gateway_node,
    instance_yaml,
    sidecar_node,
)
from mizzen.translator.bootstrap import bootstrap_json

SHOP_HOST = "bookinfo.example.com"
POLL_SECONDS = 0.05
PATIENCE_SECONDS = 60.0
"""Time that each part may take to start; on an idle machine all together take about three seconds."""

CONTROL_PLANE = "control-plane"

Progress = Callable[[str], None]
"""Receives, in a few words, what has just been done."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A running shop that answers."""

    topology: Topology
    parts: Mapping[str, Part]
    """Its processes by name: CONTROL_PLANE, `details-v1-program`, `details-v1-envoy`..."""
    client: httpx.AsyncClient
    rules: Path
    """The YAML that people edit."""
    private_rules: Path
    """The directory of the YAML with this run's addresses; the control plane watches it too."""
    issuer: TokenIssuer
    """Signs the tokens that the shop accepts."""

    @property
    def control_plane(self) -> Part:
        """The control plane."""
        return self.parts[CONTROL_PLANE]

    @property
    def events(self) -> list[str]:
        """A line for each process that ended by itself."""
        return [part.last_event for part in self.parts.values() if part.last_event]

    async def keep(self) -> None:
        """Start again every process that ends, until cancelled. Raises DemoError if one cannot be started."""
        async with first_error_alone(), asyncio.TaskGroup() as group:
            for part in self.parts.values():
                group.create_task(part.keep())


class _Starter:
    """Starts the parts of a shop, and makes sure that everything started is stopped in the end."""

    def __init__(
        self,
        topology: Topology,
        directory: Path,
        rules: Path,
        envoy: Path,
        client: httpx.AsyncClient,
        stack: AsyncExitStack,
    ) -> None:
        self.topology = topology
        self.directory = directory
        self.rules = rules
        self.client = client
        self.parts: dict[str, Part] = {}
        self._children: list[ChildProcess] = []
        self._envoy = envoy
        stack.push_async_callback(self._stop_all)

    async def _stop_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(child.stop())

    async def _start(self, name: str, launch: Launch) -> None:
        part = self.parts[name] = Part(name, launch)
        await part.start()

    async def control_plane(self, configuration: list[Path]) -> None:
        await self._start(CONTROL_PLANE, partial(self._control_plane, configuration))

    async def program(self, workload: Workload) -> None:
        await self._start(f"{workload.name}-program", partial(self._program, workload))

    async def sidecar(self, workload: Workload) -> None:
        admin = f"{workload.address}:{ADMIN_PORT}"
        await self._start(
            f"{workload.name}-envoy", partial(self._proxy, workload.name, sidecar_node(workload), admin)
        )

    async def gateway(self) -> None:
        admin = f"{self.topology.gateway_address}:{ADMIN_PORT}"
        node = gateway_node(self.topology)
        await self._start(f"{GATEWAY_NAME}-envoy", partial(self._proxy, GATEWAY_NAME, node, admin))

    async def _control_plane(self, configuration: list[Path]) -> ChildProcess:
        control_plane = await ControlPlane.start(
            self.topology, configuration, self.directory / f"{CONTROL_PLANE}.log", self.directory / "state"
        )
        self._children.append(control_plane.child)
        await control_plane.wait_ready(self.client)
        return control_plane.child

    async def _program(self, workload: Workload) -> ChildProcess:
        child = await ChildProcess.start(
            f"{workload.name}-program",
            [sys.executable, self.rules / "apps" / f"{workload.app}.py"],
            log=self.directory / f"{workload.name}-program.log",
            environment={
                "LISTEN": workload.app_endpoint,
                "VERSION": workload.version,
                "MESH_EGRESS": workload.egress_address,
            },
        )
        self._children.append(child)
        await self._wait_for(f"http://{workload.app_endpoint}/health", child)
        return child

    async def _proxy(self, name: str, node: dict[str, object], admin: str) -> ChildProcess:
        # An Envoy that never received anything only becomes ready through the control plane.
        await self.parts[CONTROL_PLANE].wanted()
        bootstrap = bootstrap_json(node=node, xds_address=self.topology.xds_address, admin_address=admin)
        envoy = await EnvoyProcess.start(
            f"{name}-envoy", bootstrap, admin=admin, directory=self.directory, binary=self._envoy
        )
        self._children.append(envoy.child)
        await envoy.wait_ready(self.client, PATIENCE_SECONDS)
        return envoy.child

    async def answering(self) -> None:
        """Wait until the shop answers at the ingress."""
        headers = {"host": SHOP_HOST}
        await self._wait_for(f"{self.topology.url}/api/v1/products/0/reviews", None, headers)

    async def _wait_for(
        self,
        url: str,
        child: ChildProcess | None,
        headers: dict[str, str] | None = None,
        seconds: float = PATIENCE_SECONDS,
    ) -> None:
        answer = "nobody answers"
        try:
            async with asyncio.timeout(seconds):
                while child is None or child.returncode is None:
                    try:
                        response = await self.client.get(url, headers=headers)
                    except httpx.TransportError as error:
                        answer = str(error) or type(error).__name__
                    else:
                        if response.is_success:
                            return
                        answer = f"status {response.status_code}: {response.text[:200]}"
                    await asyncio.sleep(POLL_SECONDS)
                raise child.ended()
        except TimeoutError as error:
            raise DemoError(f"{url} does not answer after {seconds:g} s: {answer}") from error


@asynccontextmanager
async def open_shop(options: DemoOptions, progress: Progress) -> AsyncIterator[Shop]:
    """Run a shop while the context lasts; at its end stop every process and remove the run's files.

    After a failure the files stay, for the logs in them. Raises DemoError if the shop does not answer in
    time.
    """
    envoy = find_envoy()
    topology = Topology(
        pick_network(HOSTS, PORTS),
        pick_port("127.0.0.1", options.port or GATEWAY_PORT, strict=options.port is not None),
    )
    if topology.gateway_port != (options.port or GATEWAY_PORT):
        progress(f"port {GATEWAY_PORT} is taken, so the shop gets port {topology.gateway_port}")
    directory = Path(tempfile.mkdtemp(prefix="mizzen-demo-"))
    keep = False
    try:
        async with AsyncExitStack() as stack:
            rules = options.shop_directory(directory)
            client = await stack.enter_async_context(httpx.AsyncClient(timeout=30.0, trust_env=False))
            yield await _start(_Starter(topology, directory, rules, envoy, client, stack), progress)
    except Exception as error:
        keep = True
        error.add_note(f"The logs of this run are kept in {directory}")
        raise
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


async def _start(starter: _Starter, progress: Progress) -> Shop:
    topology = starter.topology
    private_rules = starter.directory / "rules"
    private_rules.mkdir()
    (private_rules / "workloads.yaml").write_text(instance_yaml(topology), encoding="utf-8")
    issuer = TokenIssuer()
    (private_rules / "security.yaml").write_text(security_yaml(issuer), encoding="utf-8")
    async with first_error_alone(), asyncio.TaskGroup() as group:
        group.create_task(starter.control_plane([starter.rules, private_rules]))
        for workload in topology.workloads:
            group.create_task(starter.program(workload))
    progress(f"control plane at {topology.xds_address}, and {len(topology.workloads)} programs of the shop")
    sidecars = [workload for workload in topology.workloads if workload.in_mesh]
    async with first_error_alone(), asyncio.TaskGroup() as group:
        for workload in sidecars:
            group.create_task(starter.sidecar(workload))
        group.create_task(starter.gateway())
    progress(f"{len(sidecars)} Envoys as sidecars, and one as the ingress")
    await starter.answering()
    progress("the shop answers")
    return Shop(topology, starter.parts, starter.client, starter.rules, private_rules, issuer)
