"""`mizzen plan --server`: files against what a running server serves, for the proxies that are connected."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from tests.self_signed import certificate_and_key
from tests.unit.docs.shown_commands import printed
from tests.unit.server.running_process import SOTW, options, served
from tests.unit.server.test_proxy_tables import GATEWAY, Gateway

VIRTUAL_SERVICE = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: edge}
spec:
  hosts: ["shop.example"]
  gateways: [shop]
  http: [{timeout: 3s, directResponse: {status: 200}}]
"""


async def test_files_are_compared_with_what_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mesh, new = tmp_path / "mesh", tmp_path / "new"
    for folder in (mesh, new):
        folder.mkdir()
        (folder / "mesh.yaml").write_text(GATEWAY + VIRTUAL_SERVICE)

    async with served(options(mesh)) as running:
        admin = running.process.about()["admin_address"]

        async def planned() -> tuple[str, int]:
            command = f"mizzen plan {new} --server --admin {admin}"
            return await asyncio.to_thread(printed, command, monkeypatch, capsys)

        async with grpc.aio.insecure_channel(running.process.about()["grpc_addresses"][0]) as channel:
            gateway = Gateway(channel.stream_stream(SOTW)())
            await gateway.ask()
            await gateway.read()
            out, code = await planned()
            assert "nothing changes for 1 proxy" in out
            assert code == 0

            # The server is not told of it; a proxy that no document lets expect is looked at.
            (new / "mesh.yaml").write_text("# one line\n" + (GATEWAY + VIRTUAL_SERVICE).replace("200", "418"))
            out, code = await planned()
            assert "1 gateway: ingress.edge" in out
            assert "answers 418" in out
            assert f"from {mesh}/mesh.yaml:16 to {new}/mesh.yaml:17" in out
            assert code == 0

            (new / "mesh.yaml").write_text(GATEWAY)
            out, code = await planned()
            assert "! - host shop.example" in out
            assert code == 2

            (new / "mesh.yaml").write_text(GATEWAY + VIRTUAL_SERVICE.replace("timeout: 3s", "timeout: -3s"))
            out, code = await planned()
            assert "nothing changes for 1 proxy" in out
            assert code == 1


async def test_no_secret_leaves_the_server(tmp_path: Path) -> None:
    _, key = certificate_and_key()
    lines = "".join(f"    {line}\n" for line in key.splitlines())
    secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: shop, namespace: edge}\nstringData:\n"
    (tmp_path / "mesh.yaml").write_text(f"{GATEWAY}{secret}  password: hunter2\n  tls.key: |\n{lines}")
    async with served(options(tmp_path)) as running:
        answer = await running.get("/debug/served")
        assert answer.status_code == 200
        kinds = {content["kind"] for content, _ in answer.json()["documents"]}
        assert kinds == {"Gateway", "Secret"}
        assert "hunter2" not in answer.text
        assert key.splitlines()[1] not in answer.text


def test_what_does_not_go_together_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"mizzen plan {tmp_path} --server --git HEAD"
    monkeypatch.chdir(tmp_path)
    assert printed(command, monkeypatch, capsys, tmp_path) == ("", 2)
