"""A mesh for end-to-end tests: the control plane and real Envoys as processes, workloads inside the test.

    async with LiveMesh(tmp_path) as mesh:
        v1 = await mesh.workload("reviews", version="v1")
        mesh.write("routes.yaml", VIRTUAL_SERVICE)
        client = await mesh.client()
        await client.eventually("http://reviews/", lambda answer: answer.json()["version"] == "v1")

Each workload, client and gateway has a loopback address of its own, so that all can use the same ports.
"""

from __future__ import annotations

import json
import ssl
import sys
import textwrap
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from mizzen.config.codes import NOT_A_DOCUMENT, SYNTAX, UNREADABLE
from mizzen.demo.child_process import ChildProcess
from mizzen.demo.envoy_process import EnvoyProcess, find_envoy
from mizzen.demo.errors import DemoError
from mizzen.demo.loopback import LoopbackNetwork, pick_network
from mizzen.testing import ports
from mizzen.testing.caller import Caller, trust
from mizzen.testing.waiting import DEADLINE, eventually
from mizzen.testing.workloads import TcpWorkload, Workload
from mizzen.translator.bootstrap import bootstrap

SERVICE_PORT = 9080
"""The port of services, unless a program has it on all addresses: see `LiveMesh.service_port`."""

_UNREADABLE = (UNREADABLE, SYNTAX, NOT_A_DOCUMENT)

GATEWAY_PORT = 8080
"""The port of gateways. Where a program has it on all addresses, it is translated to a free one."""


def _usual_or_free(usual: int) -> int:
    """Return a port that loopback networks have free: the usual one, unless a program listens on 0.0.0.0."""
    try:
        pick_network((1,), (usual,))
    except DemoError:
        return ports.free_port()
    return usual


def own_network(hosts: Iterable[int], numbers: Sequence[int]) -> LoopbackNetwork:
    """Return a loopback network where these ports are free on these hosts, and that no other test gets."""
    hosts = tuple(hosts)
    while True:
        network = pick_network(hosts, numbers)
        if ports.reserve(f"network-{network.prefix}"):
            return network


Launch = Callable[[str, Sequence[str | Path], Path], Awaitable[ChildProcess]]
"""Starts `mizzen` as a child: its name, its arguments, and the file for its output."""


async def in_a_new_python(name: str, arguments: Sequence[str | Path], log: Path) -> ChildProcess:
    """Start `mizzen` as its users do."""
    return await ChildProcess.start(name, [sys.executable, "-m", "mizzen", *arguments], log=log)


def _written(documents: Iterable[Mapping[str, Any]]) -> str:
    text: str = yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=False)
    return text


def _place(diagnostic: Mapping[str, Any]) -> str:
    path = f"{diagnostic['path']}: " if diagnostic["path"] else ""
    return f"  {diagnostic['file']}:{diagnostic['line']}: {path}{diagnostic['message']}"


class LiveMesh:
    """The control plane with its folder of YAML, and everything that a test starts around it."""

    def __init__(
        self,
        directory: Path,
        *,
        delta: bool = True,
        arguments: Iterable[str] = (),
        launch: Launch = in_a_new_python,
    ) -> None:
        self.directory = directory
        self._launch = launch
        self._arguments = tuple(arguments)
        self._settlings = 0
        self.config = directory / "config"
        self.config.mkdir()
        self.delta = delta
        self.service_port = _usual_or_free(SERVICE_PORT)
        self._gateway_port = _usual_or_free(GATEWAY_PORT)
        self.network: LoopbackNetwork = own_network(range(1, 41), (self.service_port, self._gateway_port))
        self.gateway_address = self.network.address(40)
        self._numbers: Iterator[int] = iter(range(2, 40))
        self.grpc = f"127.0.0.1:{ports.free_port()}"
        self.admin = f"127.0.0.1:{ports.free_port()}"
        self.control_plane: ChildProcess | None = None
        self.workloads: list[Workload | TcpWorkload] = []
        self.callers: list[Caller] = []
        # The server closes a connection that is idle for some seconds, perhaps while it is used again.
        one_request_each = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.AsyncClient(
            timeout=DEADLINE, trust_env=False, verify=trust(), limits=one_request_each
        )

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
        self.control_plane = await self._launch(
            "control-plane",
            [
                *("serve", "--config", self.config, "--start-anyway"),
                *("--grpc-address", self.grpc, "--admin-address", self.admin, *self._arguments),
            ],
            self.directory / "control-plane.log",
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
        """Return the control plane's status of its proxies and documents."""
        answer = await self.http.get(f"http://{self.admin}/status")
        answer.raise_for_status()
        status: dict[str, Any] = answer.json()
        return status

    def log(self) -> str:
        """Return the log of the control plane."""
        return (self.directory / "control-plane.log").read_text(encoding="utf-8")

    def write(self, file: str, text: str | Mapping[str, Any] | list[Mapping[str, Any]]) -> Path:
        """Put a file into the folder of YAML atomically, as a careful editor does.

        A server of a Gateway without a bind address gets the address of this mesh's gateway: on the wildcard
        address, several meshes on one machine would collide.
        """
        if not isinstance(text, str):
            text = _written(text if isinstance(text, list) else [text])
        text = textwrap.dedent(text)
        if "kind: Gateway" in text:
            text = self._with_gateway_address(text)
        path = self.config / file
        new = self.directory / f".{file}.new"
        new.write_text(text, encoding="utf-8")
        new.rename(path)
        return path

    def _with_gateway_address(self, text: str) -> str:
        documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
        for document in documents:
            if document and document.get("kind") == "Gateway":
                for server in document["spec"].get("servers", ()):
                    server.setdefault("bind", self.gateway_address)
        return _written(documents)

    def write_in_place(self, file: str, text: str) -> None:
        """Overwrite a file in place, as a careless editor does: it is empty for a moment."""
        (self.config / file).write_text(text, encoding="utf-8")

    async def apply(self, file: str, text: str | Mapping[str, Any] | list[Mapping[str, Any]]) -> None:
        """Put a file into the folder and wait until every proxy has applied it."""
        self.write(file, text)
        await self.settled()
        configuration = (await self.status())["configuration"]
        refused = [found for each in configuration["refused"] for found in each["diagnostics"]]
        # A file that is no YAML has no documents that could be refused.
        refused += [found for found in configuration["diagnostics"] if found["code"] in _UNREADABLE]
        if refused:
            raise AssertionError("\n".join(("the server refuses:", *dict.fromkeys(map(_place, refused)))))

    async def settled(self) -> None:
        """Wait until every proxy has accepted, or rejected, all that the files say now."""
        # A scan of all files that began before they were written may read this marker, and not they. The next
        # read of the marker comes after that scan.
        await self._marker_is_in_force()
        await self._marker_is_in_force()

        async def settled() -> bool:
            status = await self.status()
            configuration = status["configuration"]
            # A change that needs no message gets no ACK.
            synced = all(proxy["synced"] for proxy in status["proxies"])
            if configuration["unanswered_changes"] and not synced:
                return False
            known = {
                proxy["node_id"] for proxy in status["proxies"] if {"CDS", "LDS"} <= proxy["types"].keys()
            }
            if not known >= {caller.node_id for caller in self.callers if caller.running}:
                return False
            states = {held["state"] for proxy in status["proxies"] for held in proxy["types"].values()}
            if not states <= {"ACKED", "REJECTED"}:
                return False
            return not any([await caller.warming() for caller in self.callers if caller.running])

        await eventually(settled, "all proxies have what the files say")

    async def _marker_is_in_force(self) -> None:
        """Write a file after all others, and wait until its documents are in force."""
        self._settlings += 1
        marker = "apiVersion: v1\nkind: Namespace\nmetadata: {{name: settled-{}}}\n"
        number = self._settlings
        self.write("zz-settled.yaml", "---\n".join(map(marker.format, range(number))))

        async def in_force() -> bool:
            documents = (await self.status())["configuration"]["documents"]
            return bool(documents.get("Namespace") == number)

        await eventually(in_force, "the server has read the files")

    def remove(self, file: str) -> None:
        """Take a file out of the folder."""
        (self.config / file).unlink()

    def next_address(self) -> str:
        """Return a loopback address that nothing of this mesh uses yet."""
        return self.network.address(next(self._numbers))

    async def server(
        self, name: str, labels: Mapping[str, str] | None = None, *, port: int = 0, path: str = ""
    ) -> Workload:
        """Start an HTTP server that the YAML does not name yet, at `service_port` unless told otherwise."""
        address = "" if path else self.next_address()
        workload = Workload(name, labels or {}, address, port or self.service_port, path=path)
        await workload.start()
        self.workloads.append(workload)
        return workload

    async def tcp_server(self, name: str, port: int, context: ssl.SSLContext | None = None) -> TcpWorkload:
        """Start a TCP server that the YAML does not name yet."""
        workload = TcpWorkload(name, self.next_address(), port, context)
        await workload.start()
        self.workloads.append(workload)
        return workload

    async def workload(self, app: str, *, port: int = 0, **labels: str) -> Workload:
        """Start a workload, and write its WorkloadEntry and a Kubernetes Service for its app. The Service has
        `service_port`, and so has the workload unless told otherwise."""
        name = "-".join([app, *labels.values()])
        workload = await self.server(name, {"app": app, **labels}, port=port)
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": app, "namespace": "default"},
            "spec": {
                "selector": {"app": app},
                "ports": [{"name": "http", "port": self.service_port, "targetPort": workload.port}],
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
        port: int = 0,
        protocol: str = "HTTP",
        hosts: Iterable[str] = ("*/*",),
        more_ports: Mapping[int, str] | None = None,
        locality: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Caller:
        """Start a sidecar without a workload; the test sends its requests to the sidecar's egress listener.

        `more_ports` are further egress listeners on the same address, with their protocols. `policy` is the
        outboundTrafficPolicy for unknown hosts.
        """
        address = self.next_address()
        port = port or self.service_port
        labels = {"app": name, **(labels or {})}
        listening = {port: protocol, **(more_ports or {})}
        sidecar = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Sidecar",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "workloadSelector": {"labels": dict(labels)},
                "egress": [
                    {
                        "port": {"number": number, "protocol": kind, "name": f"egress-{number}"},
                        "bind": address,
                        "captureMode": "NONE",
                        "hosts": list(hosts),
                    }
                    for number, kind in listening.items()
                ],
                "outboundTrafficPolicy": {"mode": policy},
            },
        }
        self.write(f"sidecar-{name}.yaml", sidecar)
        caller = await self.sidecar(name, address, labels, port, locality=locality, metadata=metadata)
        # An Envoy is ready with what it received first, which may be older than the files.
        await self.settled()
        return caller

    async def sidecar(
        self,
        name: str,
        address: str,
        labels: Mapping[str, str],
        port: int = 0,
        *,
        namespace: str = "default",
        locality: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Caller:
        """Start the Envoy of a sidecar; the YAML must have a Sidecar with its
        listeners. `metadata` is added to that of its node."""
        node_id = f"sidecar~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"
        own = {"NAMESPACE": namespace, "LABELS": dict(labels), "INTERCEPTION_MODE": "NONE"}
        return await self._envoy(
            name, node_id, {**own, **(metadata or {})}, address, port or self.service_port, locality
        )

    async def gateway(
        self,
        name: str = "ingress",
        *,
        port: int = GATEWAY_PORT,
        address: str = "",
        metadata: Mapping[str, Any] | None = None,
        **labels: str,
    ) -> Caller:
        """Start the gateway; its labels are `istio: ingressgateway` and those given. `metadata` is added to
        that of its node; `address` is where it listens, if a Gateway binds a different address than the
        mesh's."""
        address = address or self.gateway_address
        labels = {"istio": "ingressgateway", **labels}
        if port == GATEWAY_PORT != self._gateway_port:
            port = self._gateway_port
            self._translate_gateway_port(name, address, labels)
        node_id = f"router~{address}~{name}.default~default.svc.cluster.local"
        own = {"NAMESPACE": "default", "LABELS": labels}
        return await self._envoy(name, node_id, {**own, **(metadata or {})}, address, port)

    def _translate_gateway_port(self, name: str, address: str, labels: Mapping[str, str]) -> None:
        """Let Gateways with GATEWAY_PORT listen on a free port, as a Service in front of a gateway does."""
        metadata = {"name": f"port-of-{name}", "namespace": "default"}
        port = {"name": "http", "port": GATEWAY_PORT, "targetPort": self._gateway_port}
        self.write(
            f"port-of-{name}.yaml",
            [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": metadata,
                    "spec": {"selector": dict(labels), "ports": [port]},
                },
                {
                    "apiVersion": "networking.istio.io/v1",
                    "kind": "WorkloadEntry",
                    "metadata": metadata,
                    "spec": {"address": address, "labels": dict(labels)},
                },
            ],
        )

    async def _envoy(
        self,
        name: str,
        node_id: str,
        metadata: dict[str, Any],
        address: str,
        port: int,
        locality: str = "",
    ) -> Caller:
        admin_port = ports.free_port()
        places = dict(zip(("region", "zone", "sub_zone"), locality.split("/"), strict=False))
        configuration = bootstrap(
            node={
                "id": node_id,
                "cluster": f"{name}.default",
                "metadata": metadata,
                **({"locality": places} if locality else {}),
            },
            xds_address=self.grpc,
            admin_address=f"127.0.0.1:{admin_port}",
            delta=self.delta,
            stats="full",
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
        await envoy.wait_ready(caller.http, DEADLINE)
        return caller
