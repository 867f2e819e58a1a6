"""The page docs/virtual-machines.md and its files, on two machines whose traffic is really captured."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.captured_mesh import CLIENT, SERVER, CapturedMesh, Machine, why_not

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/vm"
CAPTURE = ROOT / "examples/compose/capture.sh"
PAGE = (ROOT / "docs/virtual-machines.md").read_text(encoding="utf-8")
UNIT = (EXAMPLES / "envoy.service").read_text(encoding="utf-8")
MESH = (EXAMPLES / "mesh.yaml").read_text(encoding="utf-8")
FREE_PORT = 7777

_REASON = why_not()
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
    """Captured by the script that the unit runs, with the ports that the unit leaves free, and two more."""

    async def _capture(self) -> None:
        for machine in (self.client, self.server):
            await self.capture(machine)

    async def capture(self, machine: Machine, *arguments: str) -> str:
        free = re.search(r'"FREE_INBOUND_PORTS=([0-9 ]+)"', UNIT)
        assert free is not None
        # The control plane runs on the client's machine.
        ports = f"FREE_INBOUND_PORTS={free[1]} 15010 {FREE_PORT}"
        return await machine.run("env", ports, "ENVOY_USER=1337", "sh", str(CAPTURE), *arguments)


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
    assert json.loads(answer["body"])["from"] == "127.0.0.6", "the program is called by the Envoy beside it"


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
    answer = await machines.client.get(SERVER, 9080)
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
