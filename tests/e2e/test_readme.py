"""The commands of the README, as a new user types them, on the ports that are free here."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import httpx
import pytest

from mizzen.demo.child_process import ChildProcess
from mizzen.testing.ports import free_port
from mizzen.testing.waiting import DEADLINE, eventually

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """The indented lines of the section about a service of one's own."""
    section = README.partition("## A service of your own")[2].partition("\n## ")[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


async def output_of(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


@pytest.mark.envoy
async def test_a_service_of_ones_own(tmp_path: Path) -> None:
    typed = commands()
    mizzen = [line.split()[1:] for line in typed if line.startswith("mizzen ")]
    serve, gateway, status, analyze = mizzen
    ports = {"8000": free_port(), "8081": free_port()}
    config = tmp_path / "mesh"
    config.mkdir()
    mesh = (ROOT / "examples/first-service/mesh.yaml").read_text(encoding="utf-8")
    for written, free in ports.items():
        assert mesh.count(written) == 1
        mesh = mesh.replace(written, str(free))
    (config / "mesh.yaml").write_text(mesh, encoding="utf-8")
    grpc, admin, envoy_admin = (f"127.0.0.1:{free_port()}" for _ in range(3))
    here = {"examples/first-service": str(config)}
    children = []
    try:
        for name, command in (
            ("hello", ["-m", "http.server", str(ports["8000"]), "--bind", "127.0.0.1"]),
            (
                "control-plane",
                [
                    "-m",
                    "mizzen",
                    *(here.get(word, word) for word in serve),
                    "--grpc-address",
                    grpc,
                    "--admin-address",
                    admin,
                ],
            ),
        ):
            children.append(
                await ChildProcess.start(name, [sys.executable, *command], log=tmp_path / f"{name}.log")
            )
        command = ["-m", "mizzen", *gateway, "--xds-address", grpc, "--admin-address", envoy_admin]
        children.append(
            await ChildProcess.start("gateway", [sys.executable, *command], log=tmp_path / "gateway.log")
        )
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:

            async def answers(path: str, status_code: int) -> bool:
                try:
                    answer = await client.get(f"http://127.0.0.1:{ports['8081']}{path}")
                except httpx.TransportError:
                    return False
                return answer.status_code == status_code

            await eventually(lambda: answers("/teapot", 418), "the teapot answers")
            await eventually(lambda: answers("/", 200), "the service answers")
        shown = await output_of(sys.executable, "-m", "mizzen", *status, "--admin", admin)
        assert "ingress.default" in shown
        assert "ACKED" in shown
        found = await output_of(sys.executable, "-m", "mizzen", *(here.get(word, word) for word in analyze))
        assert "0 errors" in found
    finally:
        for child in reversed(children):
            await child.stop()


def test_every_page_that_the_readme_names_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
