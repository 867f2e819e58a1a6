"""`mizzen bootstrap` for each way that an Envoy has to its control plane; with an agent: tests/unit/agent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from mizzen.demo.envoy_process import find_envoy
from mizzen.identity import SpiffeId, issue, open_authority
from mizzen.testing.ports import free_port
from mizzen.testing.waiting import eventually
from tests.unit.server.test_channel import Channel, channel

pytestmark = pytest.mark.envoy

IDENTITY = SpiffeId("cluster.local", "shop", "reviews")


def in_plain_text(control: Channel, folder: Path) -> tuple[str, ...]:
    return ("--xds-address", control.plain)


def by_certificate(control: Channel, folder: Path) -> tuple[str, ...]:
    now = datetime.now(UTC)
    made = issue(open_authority(control.state / "ca", now).issuer, IDENTITY, now)
    files = {"root.pem": control.roots, "own.pem": made.certificate_chain, "key.pem": made.private_key}
    for name, content in files.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(content)
    root, own, key = (str(folder / name) for name in files)
    return ("--xds-address", control.mutual, "--xds-ca", root, "--xds-cert", own, "--xds-key", key)


@pytest.mark.parametrize("way", [in_plain_text, by_certificate])
async def test_an_envoy_is_served(tmp_path: Path, way: Callable[[Channel, Path], tuple[str, ...]]) -> None:
    async with channel(tmp_path) as control:
        admin = free_port()
        node = ("gateway", "--name", "edge", "--namespace", "shop", "--ip", "127.0.0.1")
        where = (*way(control, tmp_path), "--service-account", "reviews", "--admin-port", str(admin))
        made = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mizzen", "bootstrap", *node, *where), stdout=asyncio.subprocess.PIPE
        )
        (tmp_path / "envoy.yaml").write_bytes((await made.communicate())[0])
        envoy = await asyncio.create_subprocess_exec(
            *(str(find_envoy()), "-c", str(tmp_path / "envoy.yaml"), "--disable-hot-restart", "-l", "warn")
        )
        try:
            async with httpx.AsyncClient() as client:

                async def is_live() -> bool:
                    with contextlib.suppress(httpx.HTTPError):
                        return (await client.get(f"http://127.0.0.1:{admin}/ready")).text == "LIVE\n"
                    return False

                await eventually(is_live, "the Envoy is served and ready")
            [served] = control.running.process.discovery.clients()
            assert all(each.error is None for each in served.types.values())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(envoy.pid, signal.SIGKILL)
            await envoy.wait()
