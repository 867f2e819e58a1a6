"""The page docs/virtual-machines.md and its files, on two machines whose traffic is really captured."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mizzen.demo.envoy_process import find_envoy
from tests.e2e.captured_mesh import (
    CLIENT,
    PROXY_USER,
    SERVER,
    CapturedMesh,
    Machine,
    as_user,
    why_not,
)

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/vm"
CAPTURE = ROOT / "examples/compose/capture.sh"
PAGE = (ROOT / "docs/virtual-machines.md").read_text(encoding="utf-8")
MESH = (EXAMPLES / "mesh.yaml").read_text(encoding="utf-8")
FREE_PORT = 7777
MIZZEN_USER = "1338"


def why_not_here() -> str:
    """Return why the machines cannot be had here; empty if they can."""
    if reason := why_not():
        return reason
    tried = subprocess.run([*as_user(PROXY_USER), sys.executable, "-c", "import mizzen"], check=False)
    return f"other users may not run {sys.executable}" if tried.returncode else ""


_REASON = why_not_here()
on_machines = [
    pytest.mark.envoy,
    pytest.mark.root,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(bool(_REASON), reason=_REASON),
]


def marked(test: object) -> object:
    for mark in on_machines:
        test = mark(test)
    return test


class Machines(CapturedMesh):
    """Made by the commands of the page and of the units: the control plane as a user of its own, on each
    machine an agent with its Envoy. The control plane and `shop` share the client's machine."""

    def at_home(self, text: str, machine: Machine) -> str:
        """Return a command of the page or a unit, with the places, programs, users and addresses of here."""
        self.directory.chmod(0o755)  # for those users
        home = self.directory / machine.name
        for there, here in (
            ("/opt/mizzen/bin/envoy", find_envoy()),
            (
                r"(/opt/mizzen/bin/|\b)mizzen(?= (token|bootstrap|agent|serve))",
                f"{sys.executable} -m mizzen",
            ),
            (r"/var/lib/mizzen\b(?!-)", self.directory / "state"),
            ("/etc/mizzen/mesh", self.config),
            ("/(etc/mizzen|var/lib/mizzen-agent|run/mizzen-agent)", rf"{home}/\1"),
            ("runuser -u mizzen --", " ".join(map(str, as_user(MIZZEN_USER)))),
            ("-o envoy -g envoy", f"-o {PROXY_USER} -g {PROXY_USER}"),
            (r"10\.0\.0\.[57]", CLIENT),
            (r"10\.0\.0\.8", SERVER),
        ):
            text = re.sub(there, str(here), text)
        return text

    async def _control_plane(self) -> list[str | Path]:
        state = str(self.directory / "state")
        await self.client.run("install", "-d", "-m", "700", "-o", MIZZEN_USER, "-g", MIZZEN_USER, state)
        started = self.at_home(started_by("mizzen.service"), self.client)
        return [*as_user(MIZZEN_USER), *started.split(), "--start-anyway"]

    async def _envoy(self, machine: Machine, app: str) -> list[str | Path]:
        home = self.directory / machine.name
        home.mkdir()
        made, installed = (block("PATH=/opt/mizzen"), block("python3 -m venv", 1))
        if machine is self.client:
            made = made.replace("10.0.0.8", "10.0.0.7").replace("reviews", "shop")
        there = re.compile("(?:install .*(envoy.yaml|mizzen-agent)|mizzen |\\(umask|cp /var|rm ).*")
        commands = [line for line in f"{made}\n{installed}".splitlines() if there.match(line)]
        script = self.at_home("\n".join(["set -eu", f"cd {home}", *commands]), machine)
        await machine.run("sh", "-c", script)
        run = str(home / "run")
        await machine.run("install", "-d", "-m", "755", "-o", PROXY_USER, "-g", PROXY_USER, run)
        return [*as_user(PROXY_USER), *self.at_home(started_by("envoy.service"), machine).split()]

    async def _capture(self) -> None:
        for machine in (self.client, self.server):
            await self.capture(machine)

    async def capture(self, machine: Machine, *arguments: str) -> str:
        free = re.search(r'"FREE_INBOUND_PORTS=([0-9 ]+)"', unit("envoy.service"))
        assert free is not None
        # The control plane runs on the client's machine.
        ports = f"FREE_INBOUND_PORTS={free[1]} 15012 15013 {FREE_PORT}"
        return await machine.run("env", ports, f"ENVOY_USER={PROXY_USER}", "sh", str(CAPTURE), *arguments)


def unit(name: str) -> str:
    return (EXAMPLES / name).read_text(encoding="utf-8").replace("\\\n", "")


def started_by(name: str) -> str:
    [command] = re.findall("^ExecStart=(.*)$", unit(name), re.MULTILINE)
    return str(command)


def block(begin: str, number: int = 0) -> str:
    """The lines of a block of the page that begins so."""
    found = [each for each in re.split(r"\n\n(?= {4})", PAGE) if each.startswith(f"    {begin}")]
    return textwrap.dedent(found[number].split("\n\n")[0])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machines() -> AsyncIterator[Machines]:
    async with Machines() as running:
        await running.apply("mesh.yaml", MESH.replace("10.0.0.8", SERVER))
        yield running


@marked
async def test_a_call_by_name_goes_through_both_envoys(machines: Machines) -> None:
    (address, name) = re.findall(r"^ {4}(10\.\d+\.\d+\.\d+) (\w+)$", PAGE, re.MULTILINE)[0]
    answer = await machines.client.get(address, 80, "/", name=name)
    assert answer["status"] == 200
    assert answer["headers"]["served-by"] == "the-mesh"
    shown = re.findall(r"^([\w-]+): ", block("$ curl"), re.MULTILINE)
    assert sorted(answer["headers"]) == sorted(shown)
    seen = json.loads(answer["body"])
    assert seen["from"] == "127.0.0.6", "the program is called by the Envoy beside it"
    told = seen["headers"]["x-forwarded-client-cert"]
    assert "URI=spiffe://cluster.local/ns/default/sa/shop" in told


@marked
async def test_whoever_is_outside_of_the_mesh_is_turned_away(machines: Machines) -> None:
    # What this user sends is not captured: as from a machine without an Envoy.
    told = await machines.client.get(SERVER, 9080, user=PROXY_USER)
    assert told["status"] == 0, told
    addresses = (await machines.status())["server"]["grpc_addresses"]
    assert addresses == ["127.0.0.1:15010", f"{CLIENT}:15012", f"{CLIENT}:15013"]


@marked
async def test_keys_stay_in_the_memory_of_the_agents(machines: Machines) -> None:
    for machine in (machines.client, machines.server):
        files = [each for each in (machines.directory / machine.name).rglob("*") if each.is_file()]
        assert {each.name for each in files} >= {"token", "envoy.yaml", "root-cert.pem"}
        assert [each for each in files if b"PRIVATE KEY" in each.read_bytes()] == []


@marked
async def test_a_free_port_is_reached_without_the_envoy(machines: Machines) -> None:
    passed = "^cluster.InboundPassthroughCluster;.upstream_cx_total$"
    before = await machines.server.stat(passed)
    assert await machines.client.say(SERVER, FREE_PORT) == f"{FREE_PORT} hello"
    assert await machines.server.stat(passed) == before


@marked
async def test_capture_can_be_taken_back_and_set_up_again(machines: Machines) -> None:
    for machine in (machines.client, machines.server):
        await machines.capture(machine, "off")
        await machines.capture(machine, "off")
        assert "MIZZEN" not in await machine.run("iptables-save", "-t", "nat")
    answer = await machines.client.get(SERVER, 9080)
    assert json.loads(answer["body"])["from"] == CLIENT, "no Envoy is in between"
    for machine in (machines.client, machines.server):
        await machines.capture(machine)
        rules = await machine.run("iptables-save", "-t", "nat")
        await machines.capture(machine)
        assert sorted(_rules(await machine.run("iptables-save", "-t", "nat"))) == sorted(_rules(rules))
    answer = await machines.client.get("10.96.0.10", 80, name="reviews")
    assert json.loads(answer["body"])["from"] == "127.0.0.6"


def _rules(saved: str) -> list[str]:
    return [line for line in saved.splitlines() if line.startswith("-A")]


def test_the_page_names_files_that_there_are() -> None:
    named = set(re.findall(r"\bexamples/[\w./-]+", PAGE))
    assert named >= {"examples/vm/mizzen.service", "examples/vm/envoy.service", "examples/compose/capture.sh"}
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", ["mizzen.service", "envoy.service"])
def test_systemd_takes_the_units(tmp_path: Path, unit: str) -> None:
    """The programs are put where this machine has some, for it looks at them too."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    text = re.sub(r"/opt/mizzen/(?:bin/)?[\w.]+", str(program), (EXAMPLES / unit).read_text(encoding="utf-8"))
    (tmp_path / unit).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    about_the_unit = [line for line in done.stderr.splitlines() if unit in line]
    assert (done.returncode, about_the_unit) == (0, []), done.stderr
