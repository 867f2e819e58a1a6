"""Two machines, each with a sidecar that captures its traffic: network namespaces, veth, iptables REDIRECT.

The client's machine is 10.77.0.1, the server's 10.77.0.2. The rules of iptables are those of Istio's
`istio-iptables`: what the client's programs send goes to port 15001 of its Envoy, what reaches the server's
machine goes to port 15006 of its. The Envoys' own traffic, that of user 1337, is left alone. The control
plane runs on the client's machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from mizzen.demo.child_process import ChildProcess
from mizzen.demo.envoy_process import find_envoy
from mizzen.testing.waiting import eventually
from mizzen.translator.bootstrap import bootstrap

CLIENT = "10.77.0.1"
SERVER = "10.77.0.2"
PROXY_USER = "1337"
_GRPC, _ADMIN, _ENVOY_ADMIN = 15010, 15014, 15000

_ASK = """
import http.client, json, sys
host, port, path, name = sys.argv[1:]
connection = http.client.HTTPConnection(host, int(port), timeout=60)
try:
    connection.request("GET", path, headers={"Host": name or host})
    answer = connection.getresponse()
    body = answer.read().decode()
    print(json.dumps({"status": answer.status, "headers": dict(answer.getheaders()), "body": body}))
except (OSError, http.client.HTTPException) as error:
    print(json.dumps({"status": 0, "headers": {}, "body": repr(error)}))
"""
_SAY = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as connection:
        connection.sendall(b"hello\\n")
        lines = connection.makefile()
        print(lines.readline().strip(), lines.readline().strip())
except OSError as error:
    print("")
"""


def why_not() -> str:
    """Return why namespaces cannot be had here; empty if they can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces and iptables"
    for program in ("ip", "iptables", "setpriv"):
        if shutil.which(program) is None:
            return f"needs the program {program}"
    name = f"mizzen-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"cannot make a network namespace: {made.stderr.strip()}"
    listed = subprocess.run(
        ["ip", "netns", "exec", name, "iptables", "-t", "nat", "-S"],
        capture_output=True,
        text=True,
        check=False,
    )
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return f"iptables does not work here: {listed.stderr.strip()}" if listed.returncode else ""


def as_user(number: str) -> list[str | Path]:
    """Return how a command begins that runs as another user."""
    return ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]


class Machine:
    """A network namespace."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    def command(self, *command: str | Path) -> list[str | Path]:
        return ["ip", "netns", "exec", self.name, *command]

    async def run(self, *command: str) -> str:
        """Run a command there and return what it printed; fail with its words if it fails."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, error = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 0, f"{command}: {error.decode()}"
        return out.decode()

    async def get(
        self, host: str, port: int, path: str = "/", name: str = "", user: str = ""
    ) -> dict[str, Any]:
        """Send an HTTP request from there, as a program does that knows nothing of proxies."""
        runs = as_user(user) if user else []
        answer: dict[str, Any] = json.loads(
            await self.run(*map(str, runs), sys.executable, "-c", _ASK, host, str(port), path, name)
        )
        return answer

    async def say(self, host: str, port: int) -> str:
        """Open a TCP connection from there; return what a line server says, "" if nothing."""
        return (await self.run(sys.executable, "-c", _SAY, host, str(port))).strip()

    async def stat(self, pattern: str) -> int:
        """Return the sum of the statistics of the Envoy there whose names match."""
        answer = await self.get("127.0.0.1", _ENVOY_ADMIN, f"/stats?filter={pattern}")
        return sum(int(line.rpartition(": ")[2]) for line in answer["body"].splitlines() if ": " in line)


class CapturedMesh:
    """The two machines and all that runs there."""

    def __init__(self, *arguments: str) -> None:
        """`arguments` are further ones of `mizzen serve`."""
        self._arguments = arguments
        # Not pytest's directory, which other users, such as 1337, may not read.
        self.directory = Path(tempfile.mkdtemp(prefix="mizzen-capture-"))
        self.config = self.directory / "config"
        self.config.mkdir()
        number = os.getpid()
        self.client = Machine(f"mizzen-client-{number}", CLIENT)
        self.server = Machine(f"mizzen-server-{number}", SERVER)
        self._children: list[ChildProcess] = []

    async def __aenter__(self) -> Self:
        try:
            await self._make_network()
            await self._capture()
            await self._start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            await child.stop()
        for machine in (self.client, self.server):
            await _ip("netns", "delete", machine.name, check=False)
        shutil.rmtree(self.directory)

    async def _make_network(self) -> None:
        for machine in (self.client, self.server):
            await _ip("netns", "add", machine.name)
        await _ip(
            *("link", "add", "eth0", "netns", self.client.name, "type", "veth"),
            *("peer", "name", "eth0", "netns", self.server.name),
        )
        for machine, other in ((self.client, self.server), (self.server, self.client)):
            await _ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                await _ip("-n", machine.name, "link", "set", link, "up")
            # Virtual addresses of services are routed nowhere, but a program must be able to connect.
            await _ip("-n", machine.name, "route", "add", "default", "via", other.address)

    async def _capture(self) -> None:
        for rule in (
            f"-A OUTPUT -p tcp -m owner --uid-owner {PROXY_USER} -j RETURN",
            "-A OUTPUT -p tcp -d 127.0.0.1/32 -j RETURN",
            f"-A OUTPUT -p tcp -d {CLIENT}/32 -j RETURN",
            "-A OUTPUT -p tcp -j REDIRECT --to-ports 15001",
        ):
            await self.client.run("iptables", "-w", "-t", "nat", *rule.split())
        rule = "-A PREROUTING -p tcp -j REDIRECT --to-ports 15006"
        await self.server.run("iptables", "-w", "-t", "nat", *rule.split())

    async def _start(self) -> None:
        await self._child("server", self.server, sys.executable, _SERVER_PROGRAM, SERVER)
        await self._child("control-plane", self.client, *await self._control_plane())

        async def serving() -> bool:
            return "listening" in self._children[0].last_words()

        await eventually(serving, "the server's programs listen")

        async def ready() -> bool:
            return (await self.client.get("127.0.0.1", _ADMIN, "/ready"))["status"] == 200

        await eventually(ready, "the control plane is ready")
        for machine, app in ((self.client, "client"), (self.server, "server")):
            await self._child(f"envoy-{app}", machine, *await self._envoy(machine, app))
            await self._until_ready(machine)

    async def _control_plane(self) -> list[str | Path]:
        """Return its command."""
        return [
            *(sys.executable, "-m", "mizzen", "serve", "--start-anyway", "--config", self.config),
            *("--grpc-address", f"{CLIENT}:{_GRPC}", "--admin-address", f"127.0.0.1:{_ADMIN}"),
            *self._arguments,
        ]

    def metadata(self, machine: Machine) -> dict[str, Any]:
        """Return what the node of the Envoy on `machine` says besides."""
        return {}

    async def _envoy(self, machine: Machine, app: str) -> list[str | Path]:
        """Return the command of the Envoy on `machine`."""
        configuration = bootstrap(
            node={
                "id": f"sidecar~{machine.address}~{app}.default~default.svc.cluster.local",
                "cluster": f"{app}.default",
                "metadata": {
                    "NAMESPACE": "default",
                    "LABELS": {"app": app},
                    "INTERCEPTION_MODE": "REDIRECT",
                    **self.metadata(machine),
                },
            },
            xds_address=f"{CLIENT}:{_GRPC}",
            admin_address=f"127.0.0.1:{_ENVOY_ADMIN}",
            stats="full",
        )
        return [
            *as_user(PROXY_USER),
            *(find_envoy(), "--config-yaml", json.dumps(configuration)),
            *("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"),
        ]

    async def _until_ready(self, machine: Machine) -> None:
        async def ready() -> bool:
            return (await machine.get("127.0.0.1", _ENVOY_ADMIN, "/ready"))["status"] == 200

        await eventually(ready, f"the Envoy of {machine.name} is ready")

    async def _child(self, name: str, machine: Machine, *command: str | Path) -> None:
        log = self.directory / f"{name}.log"
        self._children.append(await ChildProcess.start(name, machine.command(*command), log=log))

    async def apply(self, file: str, text: str) -> None:
        """Put YAML into force and wait until both Envoys have accepted it."""
        documents = len(list(yaml.safe_load_all(text)))
        new = self.directory / file
        new.write_text(textwrap.dedent(text), encoding="utf-8")
        replaced = self.config / file
        before = len(list(yaml.safe_load_all(replaced.read_text()))) if replaced.exists() else 0
        expected = sum((await self.status())["configuration"]["documents"].values()) + documents - before
        new.rename(replaced)

        async def accepted() -> bool:
            status = await self.status()
            configuration = status["configuration"]
            assert not configuration["refused"], configuration["refused"]
            states = {held["state"] for proxy in status["proxies"] for held in proxy["types"].values()}
            there = sum(configuration["documents"].values()) == expected
            synced = all(proxy["synced"] for proxy in status["proxies"])
            answered = synced or not configuration["unanswered_changes"]
            if not (there and answered and states == {"ACKED"}):
                return False
            warming = r"^(cluster_manager\.warming_clusters|listener_manager\..*_warming)$"
            return not any([await machine.stat(warming) for machine in (self.client, self.server)])

        await eventually(accepted, f"both Envoys have accepted {file}")

    async def status(self) -> dict[str, Any]:
        """Return what the control plane says."""
        answer = await self.client.get("127.0.0.1", _ADMIN, "/status")
        status: dict[str, Any] = json.loads(answer["body"])
        return status


_SERVER_PROGRAM = Path(__file__).with_name("capture_server.py")


async def _ip(*arguments: str, check: bool = True) -> None:
    process = await asyncio.create_subprocess_exec("ip", *arguments, stderr=asyncio.subprocess.PIPE)
    _, error = await process.communicate()
    assert not check or process.returncode == 0, f"ip {' '.join(arguments)}: {error.decode()}"
