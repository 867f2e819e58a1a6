"""docs/recipes.md as it is written, on the ports that are free here."""

from __future__ import annotations

import asyncio
import re
import shlex
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from mizzen.demo.child_process import ChildProcess
from mizzen.testing.ports import free_port
from mizzen.testing.waiting import DEADLINE, eventually
from tests.self_signed import certificate_and_key

pytestmark = pytest.mark.envoy

PAGE = (Path(__file__).parents[2] / "docs/recipes.md").read_text(encoding="utf-8")
PORT = re.compile(r"\b8\d{3}\b")


@asynccontextmanager
async def _recipe(title: str, directory: Path) -> AsyncIterator[dict[str, int]]:
    """Run the recipe with this title; yield the free port that stands for each one of the page."""
    ports = {port: free_port() for port in sorted(set(PORT.findall(PAGE)))}
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    section = PORT.sub(lambda port: str(ports[port[0]]), section).replace("/etc/mizzen", str(directory))
    mesh = directory / "mesh"
    mesh.mkdir()
    (mesh / "mesh.yaml").write_text("---\n".join(re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)))
    for script in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
        shell = await asyncio.create_subprocess_exec("sh", "-ec", script, cwd=directory)
        assert await shell.wait() == 0
    grpc, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    mizzen = ["-m", "mizzen"]
    typed = re.findall(r"^    mizzen (run .*)$", section, re.MULTILINE)
    assert typed
    async with AsyncExitStack() as stack:
        for name, command in (
            ("program", ["-m", "http.server", str(ports["8000"]), "--bind", "127.0.0.1"]),
            (
                "server",
                [*mizzen, "serve", "--config", str(mesh), "--grpc-address", grpc, "--admin-address", admin],
            ),
            *(
                (
                    f"envoy-{number}",
                    [*mizzen, *shlex.split(run), "--xds-address", grpc, "--admin-port", str(free_port())],
                )
                for number, run in enumerate(typed)
            ),
        ):
            log = directory / f"{name}.log"
            child = await ChildProcess.start(name, [sys.executable, *command], log=log)
            stack.push_async_callback(child.stop)
        yield ports


async def _answers(client: httpx.AsyncClient, url: str, host: str, **headers: str) -> bool:
    """Tell whether a page comes, with these headers."""
    try:
        answer = await client.get(url, headers={"host": host}, extensions={"sni_hostname": host})
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and all(
        answer.headers.get(name.replace("_", "-")) == value for name, value in headers.items()
    )


async def test_a_sidecar_without_capture(tmp_path: Path) -> None:
    async with (
        _recipe("A sidecar without capture", tmp_path) as ports,
        httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client,
    ):
        for port in ("8082", "8083"):
            url = f"http://127.0.0.1:{ports[port]}/"
            await eventually(lambda url=url: _answers(client, url, "hello.internal"), f"{port} answers")


async def test_several_envoys_on_one_host(tmp_path: Path) -> None:
    async with (
        _recipe("Several Envoys on one host", tmp_path) as ports,
        httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client,
    ):
        for address in ("127.0.0.3", "127.0.0.2"):  # the one that serves, and the one that calls it
            url = f"http://{address}:{ports['8084']}/"
            await eventually(lambda url=url: _answers(client, url, "hello.internal"), f"{address} answers")


async def test_egress_through_a_gateway(tmp_path: Path) -> None:
    async with (
        _recipe("Egress through a gateway", tmp_path) as ports,
        httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client,
    ):
        url = f"http://127.0.0.3:{ports['8085']}/"
        await eventually(
            lambda: _answers(client, url, "outside.example", x_left_by="egress"), "the gateway lets it out"
        )


async def test_an_https_gateway(tmp_path: Path) -> None:
    certificate, key = certificate_and_key()
    (tmp_path / "tls.crt").write_text(certificate)
    (tmp_path / "tls.key").write_text(key)
    trust = ssl.create_default_context(cadata=certificate)
    trust.check_hostname = False  # the name is in the subject alone

    async def answers(url: str, host: str) -> bool:
        # A connection of its own for each name: it was opened for one name.
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE, verify=trust) as client:
            return await _answers(client, url, host)

    async with _recipe("An HTTPS gateway", tmp_path) as ports:
        for host in ("shop.example", "files.example"):
            url = f"https://127.0.0.1:{ports['8443']}/"
            await eventually(lambda host=host, url=url: answers(url, host), f"{host} answers")
