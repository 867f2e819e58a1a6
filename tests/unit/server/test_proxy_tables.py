"""Tables of a connected proxy, and what it has not accepted."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from mizzen import xds
from tests.unit.server.running_process import NODE_ID, SOTW, Running, options, served

GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ["shop.example"]
"""


class Gateway:
    """An Envoy that asks for listeners and answers when it is told to."""

    def __init__(self, call: grpc.aio.StreamStreamCall) -> None:
        self._call = call

    async def ask(self, **answer: object) -> None:
        request = discovery_pb2.DiscoveryRequest(type_url=xds.type_urls.LISTENER, **answer)
        request.node.id = NODE_ID
        request.node.metadata.update({"NAMESPACE": "edge", "LABELS": {"istio": "ingressgateway"}})
        await self._call.write(request.SerializeToString())

    async def read(self) -> discovery_pb2.DiscoveryResponse:
        return discovery_pb2.DiscoveryResponse.FromString(await asyncio.wait_for(self._call.read(), 60))


async def rows_until(running: Running, path: str, wanted: object) -> list[dict[str, object]]:
    """The rows once a column of them reads so."""
    column = "state" if "table" in path else "WHAT"
    rows: list[dict[str, object]] = []
    async with asyncio.timeout(60):
        while True:
            rows = (await running.get(path)).json()["rows"]
            told = [{**row, **row["cells"]}.get(column) for row in rows]  # type: ignore[dict-item]
            if told == wanted:
                return rows
            await asyncio.sleep(0.005)


async def test_what_is_sent_accepted_and_refused(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(GATEWAY)
    table, diff = "/debug/table?proxy=ingress.edge&kind=listeners", "/debug/diff?proxy=ingress.edge"
    async with (
        served(options(tmp_path)) as running,
        grpc.aio.insecure_channel(running.process.about()["grpc_addresses"][0]) as channel,
    ):
        gateway = Gateway(channel.stream_stream(SOTW)())
        await gateway.ask()
        sent = await gateway.read()
        await rows_until(running, table.replace("ingress.edge", "ingress"), ["sent, not accepted yet"])
        (row,) = await rows_until(running, table, ["sent, not accepted yet"])
        assert row["cells"]["ADDRESS"] == "0.0.0.0:8080"  # type: ignore[index]
        assert row["origins"] == [f"{file}:7"]
        await rows_until(running, diff, ["new, and not accepted yet"])

        await gateway.ask(response_nonce=sent.nonce, version_info=sent.version_info)
        await rows_until(running, table, [""])
        await rows_until(running, diff, [])

        tls = "protocol: HTTPS}\n    tls: {mode: SIMPLE, credentialName: shop}"
        file.write_text(GATEWAY.replace("protocol: HTTP}", tls))
        worse = await gateway.read()
        (row,) = await rows_until(running, diff, ["changed, and not accepted yet"])
        assert "~ listener 0.0.0.0_8080: drains" in row["cells"]["DIFFERENCE"]  # type: ignore[index]
        error = {"code": 3, "message": "Error adding/updating listener(s) 0.0.0.0_8080: it is wrong"}
        await gateway.ask(response_nonce=worse.nonce, version_info=sent.version_info, error_detail=error)
        refused = (
            "an older version; Envoy rejected it: Error adding/updating listener(s) 0.0.0.0_8080: it is wrong"
        )
        (row,) = await rows_until(running, table, [refused])
        assert row["cells"]["DESTINATION"] == "routes http.8080"  # type: ignore[index]
        (row,) = await rows_until(
            running, diff, [refused.replace("an older version;", "an older version stays;")]
        )
        assert row["origins"] == [f"{file}:7"]


async def test_lines_are_current_when_only_lines_move(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(GATEWAY)
    async with served(options(tmp_path)) as running, running.stream(xds.type_urls.LISTENER):

        async def told() -> object:
            (row,) = (await running.get("/debug/table?proxy=ingress.edge&kind=listeners")).json()["rows"]
            return row["origins"]

        assert await told() == [f"{file}:7"]
        pushed = "mizzen_config_changes_total 1.0"
        assert pushed in (await running.get("/metrics")).text
        file.write_text("# one\n# two\n# three\n" + GATEWAY)
        async with asyncio.timeout(60):
            while await told() != [f"{file}:10"]:
                await asyncio.sleep(0.005)
        assert pushed in (await running.get("/metrics")).text, "nothing is sent for it"


async def test_the_commands_ask_the_server(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(GATEWAY)

    async with served(options(tmp_path)) as running:
        admin = running.process.about()["admin_address"]

        async def run(*arguments: str) -> tuple[int | None, str, str]:
            command = ("-m", "mizzen", *arguments, "--admin", admin)
            pipe = asyncio.subprocess.PIPE
            called = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=pipe, stderr=pipe)
            out, err = await asyncio.wait_for(called.communicate(), 60)
            return called.returncode, out.decode(), err.decode()

        async with running.stream(xds.type_urls.LISTENER):
            code, out, _ = await run("listeners", "ingress.edge", "--port", "8080")
            assert (code, out.splitlines()[0].split()[:3]) == (0, ["LISTENER", "ADDRESS", "MATCH"])
            assert "sent, not accepted yet" in out
            assert await run("listeners", "ingress.edge", "--port", "81") == (0, "", "no listeners\n")
            code, out, _ = await run("diff", "ingress.edge")
            assert (code, "new, and not accepted yet" in out) == (1, True)
            unknown = "mizzen: no proxy 'nobody' is connected; connected: ingress.edge\n"
            assert await run("routes", "nobody") == (2, "", unknown)
        async with asyncio.timeout(60):
            while not (await running.get("/status")).json()["gone_proxies"]:
                await asyncio.sleep(0.005)
        code, out, _ = await run("status")
        assert (code, "GONE\n  ingress.edge   router, " in out) == (0, True)
        code, out, said = await run("routes", "ingress")
        assert (code, out) == (2, "")
        assert said.startswith("mizzen: proxy 'ingress' is gone: it disconnected ")
        code, _, said = await run("routes")
        assert (code, "say which proxy" in said) == (2, True)
